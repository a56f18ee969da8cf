import msgspec
import pytest

from hames.context.verified import Verified
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallIntended,
    CallLost,
    CallStarted,
    CommandFact,
    Effect,
    FileFact,
    FilesRestored,
    GoalChecked,
    JobFinished,
    JobStarted,
    ModelReplied,
    Ran,
    TurnStarted,
    Usage,
)
from hames.core.ids import BlobId, CallId, JobId, call_id
from hames.core.limits import VERIFIED_CHARS, VERIFIED_COMMANDS
from hames.core.messages import AssistantMessage, Call

A, B, C = BlobId("a" * 64), BlobId("b" * 64), BlobId("c" * 64)
JOB = JobId("1.0")


class Told:
    """A log that grows, and what is known of the last change."""

    def __init__(self) -> None:
        self.seq = 0
        self.step = 0
        self.verified = Verified()

    def add(self, *events: AnyEvent) -> None:
        for event in events:
            self.seq += 1
            self.verified.take(event, self.seq)

    def asked(self, name: str, arguments: str, effect: Effect = "effectful") -> CallId:
        self.step += 1
        call = Call(call_id(self.step, 0), "w", name, arguments)
        self.add(
            ModelReplied(
                step=self.step,
                attempt=1,
                message=AssistantMessage("", calls=(call,)),
                finish="calls",
                model="m",
                raw=A,
                usage=Usage(),
            ),
            CallIntended(call=call.id, step=self.step, tool=name, args_hash="", effect=effect),
        )
        return call.id

    def ran(
        self, command: str, exit_code: int | None = 0, before: BlobId | None = A, after: BlobId | None = A
    ) -> None:
        call = self.asked("bash", msgspec.json.encode({"command": command}).decode())
        fact = CommandFact(exit_code=exit_code, timed_out=exit_code is None)
        self.add(
            CallStarted(call=call, tree_before=before),
            CallFinished(call=call, outcome="ok", parts=(), command=fact, tree_after=after),
        )

    def wrote(self, *facts: FileFact, before: BlobId | None = A, after: BlobId | None = A) -> None:
        call = self.asked("write", "{}", "reconcilable")
        self.add(
            CallStarted(call=call, tree_before=before),
            CallFinished(call=call, outcome="ok", parts=(), files=facts, tree_after=after),
        )

    def job(self, command: str, before: BlobId | None = A) -> None:
        call = self.asked("bash", msgspec.json.encode({"command": command}).decode())
        self.add(
            CallStarted(call=call, tree_before=before),
            JobStarted(job=JOB, call=call, command=command),
            CallFinished(call=call, outcome="ok", parts=(), tree_after=before),
        )

    def job_over(self, exit_code: int = 0, after: BlobId | None = A) -> None:
        fact = CommandFact(exit_code=exit_code)
        self.add(JobFinished(job=JOB, command=fact, output=None, told="", tree_after=after))

    @property
    def known(self) -> tuple[list[tuple[str, int | None]], bool]:
        """The checks with their exit codes, and whether there are changes after which none was run."""
        checks = [(ran.command, ran.exit_code) for ran in self.verified.checks]
        return checks, self.verified.has_unverified


def test_where_nothing_was_done_there_is_nothing_to_say() -> None:
    told = Told()
    told.add(TurnStarted(turn=1))
    assert told.known == ([], False)


def test_tests_after_the_last_edit_verify_it() -> None:
    told = Told()
    told.wrote(FileFact("/w/x", "1", "wrote"), after=B)
    assert told.known == ([], True)
    told.ran("pytest -q", 1, B, B)
    assert told.known == ([("pytest -q", 1)], False)
    told.ran("pytest -q", 0, B, B)
    assert told.verified.checks == (Ran("pytest -q", 0, told.seq),)


def test_an_edit_after_the_tests_is_not_verified_by_them() -> None:
    told = Told()
    told.ran("pytest -q")
    told.wrote(FileFact("/w/x", "1", "wrote"), after=B)
    assert told.known == ([], True)
    assert told.verified.changed == told.seq


def test_what_a_check_leaves_behind_is_no_change() -> None:
    told = Told()
    told.wrote(FileFact("/w/x", "1", "wrote"), after=B)
    told.ran("pytest -q", 0, B, C)
    assert told.known == ([("pytest -q", 0)], False)


def test_a_line_that_changes_files_and_checks_verifies_nothing() -> None:
    told = Told()
    told.ran("sed -i s/a/b/ x && pytest", 0, A, B)
    assert told.known == ([], True)


def test_a_command_that_changes_nothing_takes_nothing_away() -> None:
    told = Told()
    told.ran("make", 0)
    told.ran("python tool.py", 0)
    told.ran("ls", 0)
    assert told.known == ([("make", 0)], False)


@pytest.mark.parametrize("command", ["pytest | tail", "pytest; true"])
def test_an_exit_code_that_is_not_that_of_the_check_is_not_given(command: str) -> None:
    told = Told()
    told.ran(command)
    assert told.known == ([(command, None)], False)


def test_a_check_that_took_too_long_has_no_exit_code() -> None:
    told = Told()
    told.ran("pytest", None)
    assert told.known == ([("pytest", None)], False)


def test_without_snapshots_any_command_but_a_check_or_a_look_may_have_changed_something() -> None:
    told = Told()
    told.ran("pytest", 0, None, None)
    told.ran("ls", 0, None, None)
    assert told.known == ([("pytest", 0)], False)
    told.ran("python tool.py", 0, None, None)
    assert told.known == ([], True)


def test_without_snapshots_a_write_that_failed_has_changed_nothing() -> None:
    told = Told()
    told.wrote(before=None, after=None)
    told.wrote(FileFact("/w/x", "1", "read"), before=None, after=None)
    assert told.known == ([], False)


def test_a_tool_that_is_no_command_counts_by_what_it_changed() -> None:
    told = Told()
    call = told.asked("deploy", '{"command": "pytest"}')
    told.add(CallStarted(call=call), CallFinished(call=call, outcome="ok", parts=()))
    assert told.known == ([], True)


def test_a_call_that_was_not_run_counts_for_nothing() -> None:
    told = Told()
    call = told.asked("bash", '{"command": "rm x"}')
    told.add(CallFinished(call=call, outcome="denied", parts=()))
    assert told.known == ([], False)


def test_a_command_that_cannot_be_read_is_no_check() -> None:
    told = Told()
    for arguments in ("{", '{"command": 3}', "{}"):
        call = told.asked("bash", arguments)
        ended = CallFinished(
            call=call, outcome="ok", parts=(), command=CommandFact(exit_code=0), tree_after=A
        )
        told.add(CallStarted(call=call, tree_before=A), ended)
    assert told.known == ([], False)


def test_a_call_whose_outcome_nobody_knows_may_have_changed_files() -> None:
    told = Told()
    call = told.asked("bash", '{"command": "make x"}')
    told.add(CallStarted(call=call, tree_before=A), CallLost(call=call, parts=(), why="", tree_after=A))
    assert told.known == ([], False)
    call = told.asked("bash", '{"command": "python x"}')
    told.add(CallStarted(call=call, tree_before=A), CallLost(call=call, parts=(), why="", tree_after=B))
    assert told.known == ([], True)


def test_tests_in_the_background_verify_what_was_there_when_they_began() -> None:
    told = Told()
    told.job("pytest -q")
    told.job_over(after=B)
    assert told.known == ([("pytest -q", 0)], False)
    told.job("pytest -q", before=B)
    told.wrote(FileFact("/w/x", "1", "wrote"), before=B, after=C)
    told.job_over(after=C)
    assert told.known == ([], True)


def test_a_background_command_that_leaves_other_files_has_changed_them() -> None:
    told = Told()
    told.job("python serve.py")
    told.job_over(after=A)
    assert told.known == ([], False)
    told.job("python serve.py")
    told.job_over(after=B)
    assert told.known == ([], True)
    told.ran("pytest", 0, B, B)
    told.job("python serve.py", before=None)
    told.job_over(after=None)
    assert told.known == ([], True)


def test_a_background_command_of_which_a_repair_took_the_start_may_have_changed_anything() -> None:
    told = Told()
    told.job_over()
    assert told.known == ([], True)


def test_the_check_of_a_goal_always_counts_and_never_as_a_change() -> None:
    told = Told()
    told.wrote(FileFact("/w/x", "1", "wrote"), after=B)
    fact = CommandFact(exit_code=1)
    check = CallId("check.1")
    told.add(GoalChecked(check=check, command="./ok", passed=False, fact=fact, tree_after=C))
    assert told.known == ([("./ok", 1)], False)
    stopped = CommandFact(stopped=True)
    told.add(GoalChecked(check=check, command="./other", passed=False, fact=stopped, tree_after=C))
    assert told.known == ([("./ok", 1)], False)


@pytest.mark.parametrize(("command", "known"), [("pytest | tail", None), ("pytest", 0), ("ls | wc -l", 0)])
def test_a_check_of_the_goal_that_hides_its_end_verifies_nothing(command: str, known: int | None) -> None:
    told = Told()
    fact = CommandFact(exit_code=0)
    told.add(GoalChecked(check=CallId("check.1"), command=command, passed=True, fact=fact, tree_after=A))
    assert told.known == ([(command, known)], False)


def test_files_that_were_put_back_are_a_change() -> None:
    told = Told()
    told.ran("pytest")
    told.add(FilesRestored(tree=B))
    assert told.known == ([], True)


def test_only_so_many_checks_are_held_and_of_each_so_much() -> None:
    told = Told()
    for number in range(VERIFIED_COMMANDS + 3):
        told.ran(f"pytest test_{number}.py {'x' * 300}")
    assert len(told.verified.checks) == VERIFIED_COMMANDS
    assert told.verified.checks[0].command.startswith("pytest test_3.py")
    assert all(len(ran.command) <= VERIFIED_CHARS for ran in told.verified.checks)
