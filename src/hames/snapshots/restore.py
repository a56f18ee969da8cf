"""Does what a plan says, and can be cut short anywhere: done again, it comes to the same."""

import os
from collections.abc import Callable
from itertools import chain

import msgspec

from hames.core.errors import DamagedLog
from hames.snapshots.beneath import Beneath, set_mode, stat_at
from hames.snapshots.contents import needed
from hames.snapshots.entries import DIRECTORY, FORMAT_MASK, Entry, is_temporary, read_stat, split
from hames.snapshots.plan import Closing, Conflict, Obstacle, Plan, Step
from hames.snapshots.writing import Content, Watch, Writer

Missing = Callable[[set[bytes]], set[bytes]]


class Failure(msgspec.Struct, frozen=True):
    """A path that the system refused to restore, in its words."""

    path: str
    words: str


class Restored(msgspec.Struct, frozen=True):
    """What a restore came to. `conflicts` were found at the last moment, beside those of the plan."""

    done: int
    conflicts: tuple[Conflict, ...]
    failures: tuple[Failure, ...]
