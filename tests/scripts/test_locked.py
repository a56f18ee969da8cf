"""The lock files fit the project without asking a registry."""

import pytest

from tests.scripts.conftest import Repository

PROJECT = """
[project]
dependencies = ["anyio>=4"]
[dependency-groups]
setup = ["uv>=0.9"]
dev = ["pytest>=8 ; python_version >= '3'", "colorama ; sys_platform == 'win32'"]
"""
HASH = " \\\n    --hash=sha256:00\n"
ANYIO = "".join(f"{each}{HASH}" for each in ("anyio==4.16.0", "idna==3.20", "typing-extensions==4.16.0"))
UV = f"uv==0.13.9{HASH}"
TOOLS = "".join(
    f"{each}{HASH}"
    for each in ("pytest==9.2.0", "iniconfig==2.3.1", "pluggy==1.7.0", "Pygments==2.21.0", "packaging==26")
)


def run(
    repository: Repository,
    run_lock: str = ANYIO,
    dev_lock: str = ANYIO + UV + TOOLS,
    project: str = PROJECT,
) -> tuple[int, str]:
    repository.write("pyproject.toml", project)
    repository.write("requirements.lock", run_lock)
    repository.write("requirements-setup.lock", UV)
    repository.write("requirements-dev.lock", dev_lock)
    return repository.run("locked.py")


def test_locks_that_fit_are_fine(repository: Repository) -> None:
    assert run(repository) == (0, "")


WITH_EXTRA = PROJECT.replace(
    "[dependency-groups]", '[project.optional-dependencies]\nnear = ["engine>=2"]\n[dependency-groups]'
)


@pytest.mark.parametrize(
    ("extra_lock", "words"),
    [
        (f"{ANYIO}engine==2.1{HASH}", ""),
        (f"{ANYIO}engine==1.9{HASH}", "requirements-near.lock: pyproject.toml needs engine>=2 (locked: 1.9)"),
        (f"engine==2.1{HASH}", "requirements-near.lock: pyproject.toml needs anyio>=4 (locked: nothing)"),
        (f"{ANYIO.replace('3.20', '3.19')}engine==2.1{HASH}", "requirements-near.lock has idna 3.19"),
    ],
)
def test_the_lock_of_an_extra_holds_the_same_and_what_it_brings(
    repository: Repository, extra_lock: str, words: str
) -> None:
    repository.write("requirements-near.lock", extra_lock)
    status, output = run(repository, project=WITH_EXTRA)
    assert status == (1 if words else 0), output
    assert words in output


@pytest.mark.parametrize(
    ("run_lock", "dev_lock", "words"),
    [
        (ANYIO.replace("4.16.0", "3.1"), ANYIO + UV + TOOLS, "needs anyio>=4 (locked: 3.1)"),
        (ANYIO.replace("idna==3.20", "x==1"), ANYIO + UV + TOOLS, "anyio needs idna>=2.8 (locked: nothing)"),
        (ANYIO, ANYIO + UV, "requirements-dev.lock: pyproject.toml needs pytest>=8"),
        (ANYIO.replace("3.20", "3.19"), ANYIO + UV + TOOLS, "has idna 3.19, requirements-dev.lock has 3.20"),
        ("--index-url https://pypi.example/\n" + ANYIO, ANYIO + UV + TOOLS, "names a place: ://"),
    ],
)
def test_a_lock_that_does_not_fit_is_named(
    repository: Repository, run_lock: str, dev_lock: str, words: str
) -> None:
    status, output = run(repository, run_lock, dev_lock)
    assert status == 1
    assert words in output
    assert output.endswith("run scripts/lock\n")
