"""Which commands are tries at the same thing: the program and its task, without what stands around them."""

import re

_BEFORE = frozenset(
    ("sudo", "env", "time", "timeout", "nice", "exec", "command", "npx", "bunx", "pnpx", "xvfb-run", "stdbuf")
)
"""Words that run the command after them."""

_RUNNERS = frozenset(("uv", "poetry", "pipenv", "rye", "hatch", "pdm", "bundle"))
"""Programs that run the command after their `run` or `exec`."""

_WITH_TASK = frozenset(
    (
        *(
            "npm",
            "pnpm",
            "yarn",
            "bun",
            "deno",
            "cargo",
            "go",
            "make",
            "git",
            "docker",
            "kubectl",
            "terraform",
        ),
        *("pip", "uv", "poetry", "mix", "dotnet", "bazel", "gradle", "gradlew", "mvn", "just", "rake", "sbt"),
        *("python", "node", "ruby", "bash", "sh", "perl", "php", "java", "bundle", "hatch"),
    )
)
"""Programs whose next word says what they do."""

_LOOKS = frozenset(
    (
        *(
            "grep",
            "egrep",
            "rg",
            "ag",
            "find",
            "ls",
            "cat",
            "head",
            "tail",
            "which",
            "type",
            "command",
            "test",
        ),
        *("[", "[[", "diff", "cmp", "stat", "file", "pgrep", "ps", "git", "gh"),
    )
)
"""Programs whose failure is an answer, or no word about the files: nothing was found, nothing is there, or a
commit was refused."""


def family(command: str) -> str:
    """The last command of a chain, before any pipe, as the name of its program and its task."""
    last = re.split(r"&&|\|\||;|\n", _bare(command).rstrip(";&"))[-1].split("|")[0]
    words = [word for word in last.split() if not re.fullmatch(r"\w+=\S*|\d*[<>]\S*", word)]
    while words and (words[0] in _BEFORE or _is_number(words[0]) or words[0].startswith("-")):
        words = words[1:]
    while len(words) > 2 and words[0] in _RUNNERS and words[1] in ("run", "exec"):
        words = words[2:]
    if not words:
        return ""
    name = re.sub(r"[\d.]+$", "", words[0].rpartition("/")[2]) or words[0]
    rest = words[1:]
    if name == "python" and rest[:1] == ["-m"] and len(rest) > 1:
        return rest[1]
    if name in ("npm", "pnpm", "yarn", "bun", "deno") and rest[:1] == ["run"]:
        rest = rest[1:]
    task = next((word for word in rest if not word.startswith("-")), "") if name in _WITH_TASK else ""
    return f"{name} {task}".strip()


def _is_number(word: str) -> bool:
    return re.fullmatch(r"\d+(?:\.\d+)?[smh]?", word) is not None


def is_look(command: str) -> bool:
    """Whether its failure does not say that something is wrong with what was changed."""
    return family(command).split(" ")[0] in _LOOKS


def says_one(command: str) -> bool:
    """Whether it is one command, with nothing before it."""
    return not re.search(r"&&|[;\n]", _bare(command))


def says_all(command: str) -> bool:
    """Whether exit code 0 means that all of it went well: no pipe, list or `||` hides a failure."""
    rest = re.sub(r"&&|\d*>&\d*|&>", "", _bare(command))
    return not re.search(r"[|;&\n]", rest)


def _bare(command: str) -> str:
    """The command without what is quoted in it, so that all signs left are the shell's."""
    without = re.sub(r"<<-?\s*(['\"]?)(\w+)\1.*?(?:\n\s*\2\b|\Z)", "", command, flags=re.DOTALL)
    return re.sub(r"'[^']*'|\"(?:\\.|[^\"\\])*\"", "_", without, flags=re.DOTALL).strip()
