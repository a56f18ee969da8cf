"""Which commands are tries at the same thing: the program and its task, without what stands around them."""

import re

from hames.context.command_line import LOOKS, program, read_line

_WITH_TASK = frozenset(
    (
        *("npm", "pnpm", "yarn", "bun", "deno", "cargo", "go", "make", "git", "docker", "kubectl", "pip"),
        *("terraform", "uv", "poetry", "mix", "dotnet", "bazel", "gradle", "gradlew", "mvn", "just", "rake"),
        *("sbt", "python", "node", "ruby", "bash", "sh", "perl", "php", "java", "bundle", "hatch"),
    )
)
"""Programs whose next word says what they do."""

_ANSWERS = LOOKS | {"git", "gh"}
"""Programs whose failure is an answer, or no word about the files: a commit was refused."""


def family(command: str) -> str:
    """The last command of a chain, before any pipe, as the name of its program and its task."""
    lasts = [program(each.words) for each in read_line(command) if each.before != "|"]
    if not lasts or not lasts[-1]:
        return ""
    first, *rest = lasts[-1]
    name = re.sub(r"[\d.]+$", "", first.rpartition("/")[2]) or first
    if name == "python" and rest[:1] == ["-m"] and len(rest) > 1:
        return rest[1]
    if name in ("npm", "pnpm", "yarn", "bun", "deno") and rest[:1] == ["run"]:
        rest = rest[1:]
    return f"{name} {_task(rest)}".strip() if name in _WITH_TASK else name


def _task(arguments: list[str]) -> str:
    """The first that is no option, before any program text."""
    for word in arguments:
        if word in ("-c", "-e"):
            return ""
        if not word.startswith("-"):
            return word
    return ""


def is_look(command: str) -> bool:
    """Whether its failure does not say that something is wrong with what was changed."""
    return family(command).split(" ")[0] in _ANSWERS


def says_one(command: str) -> bool:
    """Whether it is one command, with nothing before it."""
    found = read_line(command)
    return bool(found) and all(each.before in ("", "|", "||") for each in found)


def says_all(command: str) -> bool:
    """Whether exit code 0 means that all of it went well: no pipe, list or `||` hides a failure."""
    found = read_line(command)
    return bool(found) and all(each.after == "&&" for each in found[:-1]) and found[-1].after in ("", ";")
