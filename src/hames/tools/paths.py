"""The paths that calls name."""

from os.path import join, normpath, realpath

from hames.core.ids import CallId

_OUTPUT = "output://"


def absolute(path: str, cwd: str) -> str:
    """The path that is judged and used. `..` is taken off by its letters, before any link."""
    return normpath(join(cwd, path))


def touched(path: str) -> tuple[str, ...]:
    """The path, and where links lead it when that is elsewhere: both must be allowed."""
    real = realpath(path)
    return (path,) if real == path else (path, real)


def shown(path: str, cwd: str) -> str:
    """The path as a model is told it: relative when it is below `cwd`."""
    return path[len(cwd) + 1 :] if path.startswith(f"{cwd}/") else path


def output_of(path: str) -> CallId | None:
    """The call whose kept output `path` names."""
    return CallId(path[len(_OUTPUT) :].strip("/")) if path.startswith(_OUTPUT) else None


def handle_of(call: str) -> str:
    """What the kept output of `call` is read by."""
    return f"{_OUTPUT}{call}"
