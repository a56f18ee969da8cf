"""What a snapshot costs beside a plain walk (scandir and stat of each file) of the same tree, by turns.

python benchmarks/snapshots.py [--rounds 15] [--steps 1000] [--out FILE]

On 50, 10,000 and 100,000 files of 0.5 to 7 kB: the first snapshot, one without a change, one with 5 changed
files, a restore of those, and of everything; looks at one known path, with and without a change. And what
1,000 steps of 5 changed files in 10,000 take on disk, beside the changed bytes compressed one by one. Times
are of the machine; the ratios count.
"""

import argparse
import gc
import json
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hames.assembly.system import SystemClock
from hames.core.ids import BlobId, blob_id
from hames.snapshots.budget import Budget
from hames.snapshots.capture import Captured, Capturer, Workspace
from hames.snapshots.contents import Contents
from hames.snapshots.entries import Tree
from hames.snapshots.plan import plan
from hames.snapshots.restore import restore

WORDS = [f"word{number:x}" for number in range(4000)]
PER_DIRECTORY = 20
T = TypeVar("T")


def text(chance: random.Random) -> bytes:
    size = chance.randint(500, 7000)
    return " ".join(chance.choices(WORDS, k=size // 8)).encode()[:size]


def make_tree(root: str, files: int, chance: random.Random) -> list[str]:
    paths: list[str] = []
    for number in range(files):
        at = number // PER_DIRECTORY
        above = f"{root}/{at // 50}/{at % 50}"
        if number % PER_DIRECTORY == 0:
            os.makedirs(above, exist_ok=True)
        paths.append(f"{above}/file{number}.txt")
        Path(paths[-1]).write_bytes(text(chance))
    return paths


def walk(root: str) -> int:
    """The floor: every name, and what the kernel says of it."""
    count = 0
    waiting = [root]
    while waiting:
        with os.scandir(waiting.pop()) as found:
            for each in found:
                each.stat(follow_symlinks=False)
                count += 1
                if each.is_dir(follow_symlinks=False):
                    waiting.append(each.path)
    return count


class Kept:
    """One session's snapshots, stored in a directory."""

    def __init__(self, root: str, shelf: str) -> None:
        self.root = root
        self.shelf = shelf
        os.makedirs(f"{shelf}/scratch")
        self.contents = Contents(self.read)
        workspace = Workspace(root, lambda: f"{shelf}/scratch", (), Budget(10**6, 10**11))
        self.capturer = Capturer(workspace, self.contents, SystemClock())
        self.tree: Tree | None = None
        self.bytes = 0

    def read(self, blob: BlobId, start: int, limit: int) -> bytes:
        with open(f"{self.shelf}/{blob}", "rb") as file:
            file.seek(start)
            return file.read(limit)

    def capture(self, only: Sequence[str] | None = None) -> Captured:
        return self.capturer.capture(self.tree, only=only)

    def commit(self, captured: Captured) -> None:
        for path, blob in captured.pack_files.items():
            self.bytes += os.stat(path).st_size
            os.rename(path, f"{self.shelf}/{blob}")
        for data in captured.blobs:
            self.bytes += len(data)
            Path(self.shelf, blob_id(data)).write_bytes(data)
        for pack in captured.made:
            self.contents.learn(pack.blob, pack.where)
        self.tree = captured.tree

    def take(self) -> Tree:
        self.commit(self.capture())
        assert self.tree is not None
        return self.tree

    def settle(self) -> None:
        """Look until all is sure: what was changed a moment ago is read again, a price of the change."""
        while self.take().unsure:
            continue


def timed(act: Callable[[], T]) -> tuple[float, T]:
    gc.collect()
    before = time.perf_counter()
    done = act()
    return (time.perf_counter() - before) * 1000, done


def compare(files: int, rounds: int, scratch: str) -> dict[str, float]:
    chance = random.Random(files)
    root, shelf = f"{scratch}/tree{files}", f"{scratch}/shelf{files}"
    paths = make_tree(root, files, chance)
    kept = Kept(root, shelf)
    floor_first, _ = timed(lambda: walk(root))
    first, _ = timed(kept.take)
    kept.settle()
    taken: list[tuple[float, ...]] = []
    for _ in range(rounds):
        floor, _ = timed(lambda: walk(root))
        unchanged, captured = timed(kept.capture)
        assert not captured.blobs
        one, one_changed = known_path(kept, chance)
        step = one_step(kept, chance)
        before = kept.take()
        for path in chance.sample(paths, 5):
            Path(path).write_bytes(text(chance))
        changed, captured = timed(kept.capture)
        assert len(captured.changes) == 5
        kept.commit(captured)

        def undo(before: Tree = before) -> None:
            was = kept.tree
            assert was is not None
            assert len(restore(root, plan(kept.take(), was, before), kept.contents).done) == 5

        restored, _ = timed(undo)
        kept.settle()
        taken.append((floor, unchanged, changed, restored, one, one_changed, step))
    floors, still, some, back, known, known_changed, steps = zip(*taken, strict=True)
    everything = restore_all(kept, files)
    middle = statistics.median

    def ratio(times: Sequence[float]) -> float:
        return middle(took / floor for took, floor in zip(times, floors, strict=True))

    found = {
        "walk_ms": middle(floors),
        "unchanged_ms": middle(still),
        "unchanged_ratio": ratio(still),
        "five_changed_ms": middle(some),
        "five_changed_ratio": ratio(some),
        "five_restored_ms": middle(back),
        "five_restored_ratio": ratio(back),
        "known_path_ms": middle(known),
        "known_path_changed_ms": middle(known_changed),
        "step_ms": middle(steps),
        "first_ms": first,
        "first_over_first_walk": first / floor_first,
        "all_restored_ms": everything,
    }
    shutil.rmtree(root)
    shutil.rmtree(shelf)
    return {name: round(value, 3) for name, value in found.items()}


def known_path(kept: Kept, chance: random.Random) -> tuple[float, float]:
    """A look at one file, as a tool that writes one takes it before and after."""
    assert kept.tree is not None
    path = chance.choice([path for path, entry in kept.tree.entries() if entry.kind == "file"])
    same, captured = timed(lambda: kept.capture([path]))
    assert not captured.changes
    Path(kept.root, path).write_bytes(text(chance))
    changed, captured = timed(lambda: kept.capture([path]))
    assert len(captured.changes) == 1
    kept.commit(captured)
    kept.settle()
    return same, changed


def one_step(kept: Kept, chance: random.Random) -> float:
    """Both looks of a command that changes one file: nothing is known beforehand of what it will do."""
    assert kept.tree is not None
    path = chance.choice([path for path, entry in kept.tree.entries() if entry.kind == "file"])
    before = kept.tree
    same, is_same = timed(lambda: kept.capturer.is_as(before))
    assert is_same
    Path(kept.root, path).write_bytes(text(chance))
    changed, captured = timed(kept.capture)
    assert len(captured.changes) == 1
    kept.commit(captured)
    kept.settle()
    return same + changed


def restore_all(kept: Kept, files: int) -> float:
    before = kept.take()
    for name in os.listdir(kept.root):
        shutil.rmtree(f"{kept.root}/{name}")
    was = kept.take()
    took, done = timed(lambda: restore(kept.root, plan(was, was, before), kept.contents))
    assert len(done.done) >= files
    assert not done.failures
    return took


def disk(files: int, steps: int, scratch: str) -> dict[str, float]:
    chance = random.Random(steps)
    root = f"{scratch}/steps"
    paths = make_tree(root, files, chance)
    kept = Kept(root, f"{scratch}/steps-shelf")
    kept.take()
    began = kept.bytes
    changed = 0
    for _ in range(steps):
        for path in chance.sample(paths, 5):
            data = text(chance)
            changed += len(zlib.compress(data, 1))
            Path(path).write_bytes(data)
        kept.take()
    return {
        "steps": steps,
        "files": files,
        "first_mb": round(began / 1e6, 2),
        "changed_compressed_mb": round(changed / 1e6, 2),
        "stored_mb": round((kept.bytes - began) / 1e6, 2),
        "ratio": round((kept.bytes - began) / changed, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="a few rounds: does it run at all?")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    sizes = (50, 1000) if asked.quick else (50, 10_000, 100_000)
    rounds, steps = (3, 20) if asked.quick else (asked.rounds, asked.steps)
    with tempfile.TemporaryDirectory() as scratch:
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
            "python": platform.python_version(),
            "load": os.getloadavg()[0],
            "rounds": rounds,
            "trees": {
                str(files): compare(files, rounds * (10 if files < 1000 else 1), scratch) for files in sizes
            },
            "disk": disk(1000 if asked.quick else 10_000, steps, scratch),
        }
    found = json.dumps(result, indent=2)
    print(found)
    if asked.out:
        asked.out.write_text(found + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
