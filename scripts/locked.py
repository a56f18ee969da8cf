"""Checks, without a network, that the lock files fit pyproject.toml and each other, and name no place."""

import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import cast

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PLACES = ("://", "file:", "--index", "--extra-index", "--find-links", " @ ", "../")


def read_lock(path: Path) -> dict[str, str]:
    """Versions by canonical name."""
    pins = (line for line in path.read_text().splitlines() if "==" in line and not line.startswith(" "))
    pairs = (line.split(";")[0].rstrip("\\ ").split("==") for line in pins)
    return {canonicalize_name(name): version for name, version in pairs}


def unmet(wanted: Sequence[str], lock: Mapping[str, str]) -> Iterator[str]:
    """What `wanted` asks for, on this machine, that the lock does not hold."""
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = lock.get(canonicalize_name(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement} (locked: {version or 'nothing'})"


def problems_of(path: Path, wanted: Sequence[str], whole: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with one lock file. `whole` is the largest lock, which all others must agree with."""
    lock = read_lock(path)
    for place in PLACES:
        if place in path.read_text():
            yield f"{path.name} names a place: {place}"
    for name, version in lock.items():
        if whole.get(name) != version:
            yield f"{path.name} has {name} {version}, requirements-dev.lock has {whole.get(name)}"
        try:
            further = requires(name) or []
        except PackageNotFoundError:
            continue
        yield from (f"{path.name}: {name} needs {each}" for each in unmet(further, lock))
    yield from (f"{path.name}: pyproject.toml needs {each}" for each in unmet(wanted, lock))


def main() -> int:
    """Print what is wrong; the exit status says whether anything is."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = cast(list[str], project["project"]["dependencies"])
    groups = cast(dict[str, list[str]], project["dependency-groups"])
    wanted = {
        "requirements.lock": run,
        "requirements-setup.lock": groups["setup"],
        "requirements-dev.lock": [*run, *groups["setup"], *groups["dev"]],
    }
    whole = read_lock(ROOT / "requirements-dev.lock")
    problems = [problem for name, each in wanted.items() for problem in problems_of(ROOT / name, each, whole)]
    extras = cast(dict[str, list[str]], project["project"].get("optional-dependencies", {}))
    for name, each in extras.items():
        path = ROOT / f"requirements-{name}.lock"
        # What an extra brings is not in the largest lock, and all else in it is as there.
        problems += problems_of(path, [*run, *each], {**read_lock(path), **whole})
    for problem in problems:
        print(problem)
    if problems:
        print("run scripts/lock")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
