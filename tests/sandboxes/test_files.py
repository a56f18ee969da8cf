"""File work through the worker."""

import contextlib
import os
import signal
from collections.abc import AsyncGenerator, Callable
from hashlib import sha256
from pathlib import Path

import anyio
import pytest

from hames.core.errors import FileProblem, SandboxError
from hames.core.ports import ReadQuery, RemoveOrder, Sandbox, SearchQuery, WriteOrder
from hames.sandboxes.bubblewrap import Bubblewrap, find_program
from hames.sandboxes.files import SandboxFiles
from hames.sandboxes.process import SupervisorProcess
from hames.sandboxes.profile import Place, workspace_policy
from hames.testing.launcher_suite import ENOUGH_S, alive
from tests.sandboxes.conftest import bwrap
from tests.sandboxes.processes import until_alive

pytestmark = pytest.mark.anyio

RIPGREP = find_program("rg", os.environ.get("PATH", os.defpath))


def _hash(data: bytes) -> str:
    return sha256(data).hexdigest()


OpenFiles = Callable[..., SandboxFiles]


@pytest.fixture
async def open_files(process: SupervisorProcess) -> AsyncGenerator[OpenFiles]:
    opened: list[SandboxFiles] = []

    def opener(sandbox: Sandbox, ripgrep: str = RIPGREP, idle_s: float = 30.0) -> SandboxFiles:
        files = SandboxFiles(process, sandbox, ripgrep=ripgrep, idle_s=idle_s, name=f"files-{len(opened)}")
        opened.append(files)
        return files

    yield opener
    for files in opened:
        await files.close()


@pytest.fixture
def files(open_files: OpenFiles, sandbox: Sandbox) -> SandboxFiles:
    return open_files(sandbox)


@pytest.fixture
def confined(open_files: OpenFiles, bubblewrap: Bubblewrap) -> SandboxFiles:
    return open_files(bubblewrap)


def _ours(pid: int) -> bool:
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def _workers() -> list[int]:
    """The file workers that descend from this process, with their bubblewraps."""
    found: list[int] = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
        except OSError:
            continue
        if b"hames.sandboxes.file_worker" in words and _ours(int(name)):
            found.append(int(name))
    return found


def _kill_workers() -> None:
    workers = _workers()
    assert workers
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_a_file_is_read_by_lines_with_the_facts_of_all_of_it(
    files: SandboxFiles, workspace: Path
) -> None:
    data = b"one\ntwo\nthree"
    (workspace / "file").write_bytes(data)
    found = await files.read(ReadQuery(str(workspace / "file"), line=2, lines=1))
    assert found.data == b"two\n"
    assert (found.sha256, found.size, found.total_lines, found.binary) == (_hash(data), 13, 3, False)
    assert found.mtime_ns == os.stat(workspace / "file").st_mtime_ns


async def test_what_is_written_can_be_read(files: SandboxFiles, workspace: Path) -> None:
    path = str(workspace / "new" / "file")
    fact = await files.write(WriteOrder(path, b"content", ""))
    assert (fact.path, fact.sha256, fact.did) == (path, _hash(b"content"), "wrote")
    await files.write(WriteOrder(path, b"", fact.sha256))
    assert (await files.read(ReadQuery(path))).data == b""


async def test_what_is_removed_is_gone(files: SandboxFiles, workspace: Path) -> None:
    path = workspace / "file"
    path.write_bytes(b"x")
    refused = await _problem(files.remove(RemoveOrder(str(path), _hash(b"y"))))
    assert refused.trouble == "changed"
    fact = await files.remove(RemoveOrder(str(path), _hash(b"x")))
    assert (fact.path, fact.sha256, fact.did) == (str(path), "", "removed")
    assert os.listdir(workspace) == []


async def test_a_new_file_has_the_mode_of_the_one_that_is_named(files: SandboxFiles, workspace: Path) -> None:
    (workspace / "script").write_bytes(b"x")
    (workspace / "script").chmod(0o750)
    await files.write(WriteOrder(str(workspace / "new"), b"y", "", mode_of=str(workspace / "script")))
    assert (workspace / "new").stat().st_mode & 0o777 == 0o750


async def test_a_big_file_is_written_and_read_whole(files: SandboxFiles, workspace: Path) -> None:
    data = b"0123456789abcde\n" * 500_000
    await files.write(WriteOrder(str(workspace / "big"), data, ""))
    found = await files.read(ReadQuery(str(workspace / "big"), max_bytes=len(data)))
    assert found.data == data


async def _problem(asked: object) -> FileProblem:
    with pytest.raises(FileProblem) as refused:
        await asked  # type: ignore[reportGeneralTypeIssues] # any of the three calls
    return refused.value


async def test_failures_are_told_in_words_to_act_on(files: SandboxFiles, workspace: Path) -> None:
    (workspace / "settings.py").write_text("x")
    missing = await _problem(files.read(ReadQuery(str(workspace / "setings.py"))))
    assert (missing.trouble, missing.path) == ("missing", str(workspace / "setings.py"))
    assert "near it" in str(missing)
    assert "settings.py" in str(missing)
    nowhere = await _problem(files.read(ReadQuery(str(workspace / "no" / "such" / "place"))))
    assert str(nowhere).endswith(f"the last directory of it that exists is {workspace}")
    below = await _problem(files.read(ReadQuery(str(workspace / "settings.py" / "x"))))
    assert below.trouble == "missing"
    directory = await _problem(files.read(ReadQuery(str(workspace))))
    assert directory.trouble == "directory"
    assert "glob" in str(directory)
    exists = await _problem(files.write(WriteOrder(str(workspace / "settings.py"), b"", "")))
    assert exists.trouble == "exists"
    nul = await _problem(files.read(ReadQuery("a\0b")))
    assert nul.trouble == "invalid"


@pytest.mark.needs_bwrap
async def test_the_boundary_holds_for_files_too(confined: SandboxFiles, workspace: Path) -> None:
    home = workspace.parent
    (home / ".ssh").mkdir()
    (home / ".ssh" / "id").write_text("secret")
    (home / ".netrc").write_text("secret")
    (home / "notes").write_text("mine")
    (workspace / ".git" / "hooks").mkdir(parents=True)
    (workspace / "link").symlink_to(home / ".ssh" / "id")
    (workspace / "out").symlink_to(home)
    hidden = await _problem(confined.read(ReadQuery(str(home / ".ssh" / "id"))))
    assert "the sandbox hides it" in str(hidden)
    assert (await _problem(confined.read(ReadQuery(str(workspace / "link"))))).trouble == "missing"
    assert (await _problem(confined.read(ReadQuery(str(home / ".netrc"))))).trouble == "denied"
    assert (await confined.read(ReadQuery(str(home / "notes")))).data == b"mine"
    for path, expect in (
        (home / "new", ""),
        (home / "notes", _hash(b"mine")),
        (workspace / "out" / "notes", _hash(b"mine")),
        (workspace / ".git" / "hooks" / "pre-commit", ""),
        (home / ".ssh" / "authorized_keys", ""),
    ):
        refused = await _problem(confined.write(WriteOrder(str(path), b"x", expect)))
        assert refused.trouble == "denied"
        assert "read-only in the sandbox" in str(refused)
    for path in (home / "notes", workspace / "out" / "notes"):
        refused = await _problem(confined.remove(RemoveOrder(str(path), _hash(b"mine"))))
        assert refused.trouble == "denied"
    assert (home / "notes").read_text() == "mine"
    assert sorted(os.listdir(home)) == [".netrc", ".ssh", "notes", "project"]


@pytest.mark.needs_bwrap
async def test_plan_mode_reads_and_writes_nothing(
    open_files: OpenFiles, place: Place, tmp_path: Path
) -> None:
    sandbox = Bubblewrap(workspace_policy(place, read_only=True), bwrap(), str(tmp_path / "run"))
    files = open_files(sandbox)
    (Path(place.workspace) / "file").write_text("x")
    assert (await files.read(ReadQuery(f"{place.workspace}/file"))).data == b"x"
    refused = await _problem(files.write(WriteOrder(f"{place.workspace}/file", b"y", _hash(b"x"))))
    assert refused.trouble == "denied"


async def test_a_search_finds_counts_and_is_bounded(files: SandboxFiles, workspace: Path) -> None:
    (workspace / "a").write_text("needle 1\nhay\nneedle 2\n" * 1000)
    query = SearchQuery(("--no-heading", "-n", "--", "needle", "a"), str(workspace), 10_000, 3)
    found = await files.search(query)
    assert found.data == b"1:needle 1\n3:needle 2\n4:needle 1\n"
    assert (found.lines, found.cut, found.exit_code, found.error) == (3, True, 0, "")
    small = await files.search(
        SearchQuery(("--no-heading", "-n", "--", "needle", "a"), str(workspace), 15, 3)
    )
    assert (small.data, small.cut) == (b"1:needle 1\n", True)
    none = await files.search(SearchQuery(("--", "nothing"), str(workspace), 100, 10))
    assert (none.data, none.exit_code, none.cut) == (b"", 1, False)
    wrong = await files.search(SearchQuery(("--", "("), str(workspace), 100, 10))
    assert wrong.exit_code == 2
    assert "regex" in wrong.error


async def test_a_line_longer_than_the_bound_is_cut(files: SandboxFiles, workspace: Path) -> None:
    (workspace / "a").write_text("needle" * 100_000)
    found = await files.search(
        SearchQuery(("--no-filename", "-N", "--", "needle", "a"), str(workspace), 100, 3)
    )
    assert (len(found.data), found.cut, found.lines) == (100, True, 1)


async def test_a_search_without_ripgrep_names_the_fix(
    open_files: OpenFiles, sandbox: Sandbox, workspace: Path
) -> None:
    files = open_files(sandbox, ripgrep="")
    found = await files.search(SearchQuery(("x",), str(workspace), 100, 10))
    assert found.exit_code == 127
    assert "apt-get install ripgrep" in found.error


async def test_a_search_in_a_missing_directory_is_a_problem(files: SandboxFiles, workspace: Path) -> None:
    refused = await _problem(files.search(SearchQuery(("x",), str(workspace / "gone"), 100, 10)))
    assert refused.trouble == "missing"


async def test_a_worker_that_was_killed_is_replaced(files: SandboxFiles, workspace: Path) -> None:
    path = str(workspace / "file")
    await files.write(WriteOrder(path, b"one", ""))
    _kill_workers()
    assert (await files.read(ReadQuery(path))).data == b"one"
    _kill_workers()
    await files.write(WriteOrder(path, b"two", _hash(b"one")))
    assert Path(path).read_bytes() == b"two"


async def test_a_write_whose_answer_was_lost_is_not_done_twice(files: SandboxFiles, workspace: Path) -> None:
    path = workspace / "file"
    path.write_bytes(b"old")
    await files.read(ReadQuery(str(path)))
    _kill_workers()
    path.write_bytes(b"new")
    inode = path.stat().st_ino
    fact = await files.write(WriteOrder(str(path), b"new", _hash(b"old")))
    assert fact.sha256 == _hash(b"new")
    assert path.stat().st_ino == inode


async def test_a_removal_whose_answer_was_lost_is_known_to_be_done(
    files: SandboxFiles, workspace: Path
) -> None:
    path = workspace / "file"
    path.write_bytes(b"x")
    await files.read(ReadQuery(str(path)))
    _kill_workers()
    path.unlink()
    assert (await files.remove(RemoveOrder(str(path), _hash(b"x")))).did == "removed"
    path.write_bytes(b"x")
    _kill_workers()
    assert (await files.remove(RemoveOrder(str(path), _hash(b"x")))).did == "removed"
    assert not path.exists()


async def test_an_idle_worker_ends_and_the_next_request_starts_another(
    open_files: OpenFiles, sandbox: Sandbox, workspace: Path
) -> None:
    files = open_files(sandbox, idle_s=0.05)
    (workspace / "file").write_bytes(b"x")
    await files.read(ReadQuery(str(workspace / "file")))
    with anyio.fail_after(ENOUGH_S):
        while _workers():
            await anyio.lowlevel.checkpoint()
    assert (await files.read(ReadQuery(str(workspace / "file")))).data == b"x"


async def test_a_lost_launcher_is_replaced(
    process: SupervisorProcess, files: SandboxFiles, workspace: Path
) -> None:
    (workspace / "file").write_bytes(b"x")
    await files.read(ReadQuery(str(workspace / "file")))
    os.kill(process.connect().pid, signal.SIGKILL)
    assert (await files.read(ReadQuery(str(workspace / "file")))).data == b"x"


async def test_a_cancelled_search_ends(files: SandboxFiles, workspace: Path) -> None:
    os.mkfifo(workspace / "pipe")
    (workspace / "file").write_bytes(b"x")
    token = f"30{os.getpid()}1"
    await files.read(ReadQuery(str(workspace / "file")))
    async with anyio.create_task_group() as group:
        group.start_soon(files.search, SearchQuery((token, "pipe"), str(workspace), 100, 10))
        await until_alive(token)
        group.cancel_scope.cancel()
    assert not alive(token)
    assert (await files.read(ReadQuery(str(workspace / "file")))).data == b"x"


async def test_many_requests_at_once_get_their_own_answers(files: SandboxFiles, workspace: Path) -> None:
    found: dict[int, bytes] = {}

    async def one(number: int) -> None:
        path = str(workspace / str(number))
        await files.write(WriteOrder(path, str(number).encode(), ""))
        found[number] = (await files.read(ReadQuery(path))).data

    async with anyio.create_task_group() as group:
        for number in range(30):
            group.start_soon(one, number)
    assert found == {number: str(number).encode() for number in range(30)}


async def test_closing_ends_the_worker(files: SandboxFiles, workspace: Path) -> None:
    (workspace / "file").write_bytes(b"x")
    await files.read(ReadQuery(str(workspace / "file")))
    await files.close()
    assert not _workers()
    await files.close()


async def test_a_sandbox_that_does_not_start_stops_the_session(
    open_files: OpenFiles, place: Place, tmp_path: Path
) -> None:
    files = open_files(Bubblewrap(workspace_policy(place), "/no/bwrap", str(tmp_path / "run")))
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        await files.read(ReadQuery(place.workspace))
