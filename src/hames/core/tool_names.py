"""Which tool is meant by a name that is not quite its own."""

import re
from collections.abc import Collection

_PREFIXES = ("functions.", "function.", "default_api.", "repo_browser.", "tools.", "tool.")
"""What models put before the name, from the formats that they were trained on."""

# Special marks, the number of a call, brackets: nothing after a name belongs to it.
_NAME = r"[\w.-]+"
_SEPARATORS = r"[-_]"

_OTHER_NAMES = {
    "read": ("readfile", "readtextfile", "viewfile", "view", "openfile", "cat", "listdirectory", "listdir"),
    "write": ("writefile", "createfile", "writetofile", "createnewfile", "savefile"),
    "edit": ("editfile", "strreplace", "replace"),
    "bash": (
        *("shell", "sh", "terminal", "execcommand", "executecommand", "runcommand", "runshellcommand"),
        *("shellcommand", "localshell", "runterminalcmd", "runterminalcommand", "executebash", "runbash"),
    ),
    "grep": ("grepsearch", "searchfilecontent", "ripgrep", "rg"),
    "glob": ("findfiles", "globsearch"),
    "todo_write": ("todo", "writetodos", "updatetodos", "todolist"),
}
"""What other harnesses call tools that take the same arguments, folded."""


def tool_meant(name: str, names: Collection[str]) -> str | None:
    """The one of `names` that is meant by `name`: by itself, but for case, separators, a usual prefix and
    what hangs on its end, or by another harness' name for it; None where that is not certain."""
    if name in names:
        return name
    match = re.match(_NAME, _without_prefix(name.strip()))
    folded = _fold(match[0]) if match else ""
    same = [each for each in names if _fold(each) == folded]
    if not same:
        same = [tool for tool, others in _OTHER_NAMES.items() if tool in names and folded in others]
    return same[0] if len(same) == 1 else None


def _without_prefix(name: str) -> str:
    return next((name[len(prefix) :] for prefix in _PREFIXES if name.startswith(prefix)), name)


def _fold(name: str) -> str:
    return re.sub(_SEPARATORS, "", name.casefold())
