"""Path patterns such as `src/**/*.{ts,tsx}`: where to look, and what fits there.

ripgrep's own `--glob` overrides the ignore files. So ripgrep only lists, and this decides.
"""

import re

import msgspec

from hames.core.errors import ArgumentProblem

_WILD = r"[*?\[{\\]"
_ATOM = r"(?s)(?:\*\*/)+|\*+|\[[!^]?\]?[^\]/]*\]|\\.|."
_MOST_STARS = 8


class Glob(msgspec.Struct, frozen=True):
    """A pattern, taken apart. Everything that fits is below `root` (relative to where the search
    starts, or absolute), and has a name that fits `name` (empty: any)."""

    root: str
    name: str
    expression: str

    def fits(self, path: str) -> bool:
        """Whether `path`, relative to `root`, fits."""
        return re.fullmatch(self.expression, path, re.DOTALL) is not None


def read_glob(pattern: str) -> Glob:
    """Take a pattern apart. Without a slash it fits names at any depth."""
    if pattern.count("*") > 2 * _MOST_STARS:
        raise ArgumentProblem("the glob has too many stars")
    parts = pattern.removeprefix("./").split("/")
    if len(parts) == 1:
        return Glob("", pattern, _expression(f"**/{pattern}"))
    fixed = next((at for at, part in enumerate(parts[:-1]) if re.search(_WILD, part)), len(parts) - 1)
    root, rest = "/".join(parts[:fixed]), parts[fixed:]
    if pattern.startswith("/") and not root:
        root = "/"
    last = rest[-1]
    name = "" if "**" in last or last.count("{") != last.count("}") else last
    return Glob(root, name, _expression("/".join(rest) + ("" if last else "**")))


def _expression(pattern: str) -> str:
    atoms: list[str] = re.findall(_ATOM, pattern)
    depth = 0
    said: list[str] = []
    for atom in atoms:
        depth += (atom == "{") - (atom == "}")
        if depth < 0:
            break
        said.append(_atom(atom, in_braces=depth > 0))
    if depth:
        raise ArgumentProblem("the braces of the glob do not match")
    try:
        re.compile("".join(said))
    except re.error as error:
        raise ArgumentProblem(f"the glob cannot be read: {error}") from None
    return "".join(said)


def _atom(atom: str, *, in_braces: bool) -> str:
    if atom.startswith("**"):
        return "(?:.*/)?" if atom.endswith("/") else ".*"
    if atom.startswith("[") and len(atom) > 1:
        inside = atom[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^/{inside[1:]}]" if inside[:1] in "!^" else f"[{inside}]"
    if atom.startswith("\\") and len(atom) > 1:
        return re.escape(atom[1])
    plain = {"*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}
    if atom == "," and in_braces:
        return "|"
    return plain.get(atom, re.escape(atom))
