"""Kills a process of the harness right before a counted operation, by a library that is preloaded."""

from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from tests.torture.recorder import compiled

_HERE = Path(__file__).parent


Operation = Literal["opens", "changes"]


class Strike(NamedTuple):
    """Before its operation `number` at or below `directory`: of all that it opens there, or of all changes
    that it makes."""

    what: Operation
    number: int
    directory: Path

    def __str__(self) -> str:
        return f"at number {self.number} of what it {self.what} below {self.directory.name}"


class Reach(NamedTuple):
    """Operations of one kind, and about how many of them there are."""

    what: Operation
    most: int
    directory: Path


def drawn(random: Random, *reaches: Reach) -> Strike:
    """A strike somewhere in one of these."""
    reach = random.choice(reaches)
    return Strike(reach.what, random.randint(1, max(1, reach.most)), reach.directory)


class Striker:
    """Knows the library. What is compiled is kept in `shared`."""

    def __init__(self, shared: Path) -> None:
        self.library = compiled(_HERE / "strike.c", shared / "strike.so", "-shared", "-fPIC", "-ldl")

    def armed(self, strike: Strike) -> dict[str, str]:
        """What a process has in its environment that is to be struck so. What it starts does not have it."""
        where = f"{strike.what[0]} {strike.number} {strike.directory}"
        return {"LD_PRELOAD": str(self.library), "TORTURE_STRIKE": where}
