"""Which of many paths exist, and where they really are, at the price of a look at a few directories."""

import os

Stamp = tuple[int, int, int]
_NOWHERE: Stamp = (0, 0, 0)


def _stamp(directory: str) -> Stamp:
    """Moves whenever an entry comes or goes; unlike the time of modification, it cannot be set back."""
    try:
        facts = os.stat(directory)
    except OSError:
        return _NOWHERE
    return facts.st_dev, facts.st_ino, facts.st_ctime_ns


def _nearest(directory: str) -> str:
    """The deepest directory on the way that exists: it changes when the next one comes into being."""
    while directory != "/" and not os.path.exists(directory):
        directory = os.path.dirname(directory)
    return directory


def _real(path: str) -> str:
    """The path without symbolic links, empty when there is nothing."""
    try:
        os.lstat(path)
    except OSError:
        return ""
    real = os.path.realpath(path)
    return real if os.path.exists(real) else ""


class Present:
    """`reals` maps each of the paths that exists to its real place."""

    def __init__(self, paths: tuple[str, ...]) -> None:
        self.reals: dict[str, str] = {}
        self._groups: dict[str, list[str]] = {}
        self._seen: dict[str, tuple[str, Stamp]] = {}
        for path in paths:
            self._groups.setdefault(os.path.dirname(path), []).append(path)

    def refresh(self) -> bool:
        """Look again where something has changed; returns whether anything had."""
        stamps: dict[str, Stamp] = {}
        changed = False
        for directory, paths in self._groups.items():
            watched, before = self._seen.get(directory, (directory, None))
            if watched not in stamps:
                stamps[watched] = _stamp(watched)
            if stamps[watched] == before:
                continue
            changed = True
            watched = _nearest(directory)
            # The stamp comes first: what changes while we look is seen the next time.
            self._seen[directory] = (watched, _stamp(watched))
            self.reals.update((path, _real(path)) for path in paths)
        return changed

    def of(self, paths: tuple[str, ...]) -> tuple[str, ...]:
        """The real places of those of `paths` that exist."""
        return tuple(filter(None, (self.reals.get(path) for path in paths)))
