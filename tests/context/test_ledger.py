import msgspec
import pytest

from hames.context.ledger import Command, Failure, Ledger, tried_in_words
from hames.core.events import (
    AnyEvent,
    CallFinished,
    CallIntended,
    CommandFact,
    FileFact,
    FilesRestored,
    Labelled,
    ModelReplied,
    Outcome,
    RestoreStarted,
    Usage,
    UserSpoke,
)
from hames.core.ids import CallId, blob_id, call_id
from hames.core.limits import LEDGER_COMMANDS, LEDGER_FAILURES, LEDGER_FILES, REPEATED_FAILURES
from hames.core.messages import AssistantMessage, Call, Text

FAILED = "FAILED tests/test_a.py::test_x - assert 1 == {}\n[exit 1]"
_TREE = blob_id(b"")


class Book:
    """A ledger, and what is entered in it: one call a step."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.seq = 0
        self.step = 0

    def take(self, event: AnyEvent, *, changed: bool = False) -> None:
        self.seq += 1
        self.ledger.take(event, self.seq, changed=changed)

    def call(self, name: str, arguments: object, tool: str = "") -> CallId:
        self.step += 1
        raw = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        call = call_id(self.step, 0)
        message = AssistantMessage("", None, (Call(call, "w", name, raw),))
        self.take(
            ModelReplied(
                step=self.step,
                attempt=1,
                message=message,
                finish="calls",
                model="m",
                raw=_TREE,
                usage=Usage(),
            )
        )
        if tool:
            self.take(CallIntended(call=call, step=self.step, tool=tool, args_hash="", effect="effectful"))
        return call

    def run(self, command: str, code: int = 0, text: str = "", *, changed: bool = False) -> None:
        call = self.call("bash", {"command": command}, "bash")
        outcome: Outcome = "failed" if code else "ok"
        fact = CommandFact(exit_code=code)
        tree = blob_id(str(self.step).encode())
        self.take(
            CallFinished(call=call, outcome=outcome, parts=(Text(text),), command=fact, tree_after=tree),
            changed=changed,
        )

    def edit(self, name: str = "a.py", problem: str = "") -> None:
        call = self.call("edit", {"file_path": name, "old_string": "a", "new_string": "b"}, "edit")
        if problem:
            self.take(CallFinished(call=call, outcome="failed", parts=(Text(problem),)))
        else:
            facts = (FileFact(f"/w/{name}", "ab" * 32, "wrote"),)
            self.take(CallFinished(call=call, outcome="ok", parts=(), files=facts), changed=True)

    def fail(self, times: int = 1, command: str = "pytest -q") -> None:
        for number in range(times):
            self.edit()
            self.run(command, 1, FAILED.format(number))


@pytest.fixture
def book() -> Book:
    return Book()


def test_files_are_known_with_what_was_done_to_them_last(book: Book) -> None:
    call = book.call("read", {"file_path": "a"})
    facts = (FileFact("/w/a", "1", "read"), FileFact("/w/b", "2", "wrote"))
    book.take(CallFinished(call=call, outcome="ok", parts=(), files=facts))
    call = book.call("read", {"file_path": "a"})
    book.take(CallFinished(call=call, outcome="ok", parts=(), files=(FileFact("/w/a", "", "removed"),)))
    lines = [(path, line.did, line.sha256, line.step) for path, line in book.ledger.files.items()]
    assert lines == [("/w/b", "wrote", "2", 1), ("/w/a", "removed", "", 2)]


def test_commands_are_known_with_their_exit_codes(book: Book) -> None:
    book.run("make", 2)
    book.run("pytest | tail -3")
    book.run("pytest")
    found = [(ran.command, ran.exit_code, ran.step) for ran in book.ledger.commands]
    assert found == [("make", 2, 1), ("pytest | tail -3", 0, 2), ("pytest", 0, 3)]
    assert book.ledger.passed == {"pytest": Command("pytest", 0, 3, blob_id(b"3"))}


def test_a_command_is_found_inside_a_wrapper_and_in_arguments_that_had_to_be_mended(book: Book) -> None:
    for arguments, command in (
        ({"name": "bash", "arguments": {"command": "make"}}, "make"),
        ({"name": "bash", "arguments": "{}"}, '{"name":"bash","arguments":"{}"}'),
        ("{'command': 'make'}", "make"),
        ('"\ud800"', '"\ud800"'),
    ):
        call = book.call("call_tool", arguments)
        book.take(CallFinished(call=call, outcome="ok", parts=(), command=CommandFact(exit_code=0)))
        assert book.ledger.commands[-1].command == command


def test_a_failure_is_known_with_what_was_tried_before_it(book: Book) -> None:
    book.edit("src/a.py")
    book.run("sed -i s/a/b/ c.py", changed=True)
    book.run("pytest -q", 1, FAILED.format(1))
    book.run("pytest -q", 1, FAILED.format(1))
    book.run("sed -i s/b/c/ c.py && pytest -q", 1, FAILED.format(1), changed=True)
    first, second, third = book.ledger.failures
    assert (first.kind, first.ran, first.tried) == (
        "pytest",
        "pytest -q",
        ("edit a.py", "bash sed -i s/a/b/ c.py"),
    )
    assert (second.tried, third.tried) == ((), ("bash sed -i s/b/c/ c.py && pytest -q",))
    assert first.error.line == "tests/test_a.py::test_x"
    assert tried_in_words([first, second]) == "step 3: edit a.py, bash sed -i s/a/b/ c.py; step 4: as it was"


def test_what_a_failing_command_leaves_is_no_try(book: Book) -> None:
    book.run("pytest -q", 1, FAILED.format(1), changed=True)
    book.run("pytest -q", 1, FAILED.format(1), changed=True)
    assert [failure.tried for failure in book.ledger.failures] == [(), ()]


def test_many_changes_before_a_failure_are_counted(book: Book) -> None:
    for number in range(8):
        book.edit(f"{number}.py")
    book.run("pytest", 1)
    assert book.ledger.failures[0].tried[-2:] == ("edit 7.py", "and 2 before")


def test_each_kind_of_command_tries_what_was_changed_since_it_was_last_run(book: Book) -> None:
    for number in range(REPEATED_FAILURES):
        book.edit(f"{number}.py")
        book.run("make", 1, "error: no")
        book.run("pytest -q", 1, FAILED.format(number))
        book.run("ruff check")
    assert [failure.tried for failure in book.ledger.failures][-2:] == [("edit 3.py",), ("edit 3.py",)]
    book.run("ruff check", 1)
    assert book.ledger.failures[-1].tried == ()


def test_a_search_that_finds_nothing_is_no_failure(book: Book) -> None:
    book.run("grep -rn x src", 1)
    assert not book.ledger.failures


def test_an_edit_that_fails_is_one(book: Book) -> None:
    book.edit("a.py", "old_string is not in the file: nothing was changed")
    call = book.call("read", {"file_path": "a.py"}, "read")
    book.take(CallFinished(call=call, outcome="failed", parts=(Text("no such file"),)))
    call = book.call("edit", "{", "edit")
    book.take(CallFinished(call=call, outcome="failed", parts=(Text("what?"),)))
    assert [failure.kind for failure in book.ledger.failures] == ["edit a.py", "edit"]


# The same thing again and again


def test_the_same_failure_after_other_changes_each_time_is_repeated(book: Book) -> None:
    book.run("pytest -q")
    book.fail(REPEATED_FAILURES - 1)
    assert book.ledger.repeated() is None
    book.fail()
    repeated = book.ledger.repeated()
    assert repeated is not None
    assert (len(repeated.failures), repeated.good, repeated.passed) == (REPEATED_FAILURES, 1, "pytest -q")
    book.edit()
    assert book.ledger.repeated() is None  # Its last step is another.


def test_where_it_never_went_well_the_first_failure_is_the_place_to_go_back_to(book: Book) -> None:
    book.run("pytest -q", 1, FAILED.format(0))
    book.run("pytest -q", 1, FAILED.format(0))
    book.fail(REPEATED_FAILURES - 1)
    repeated = book.ledger.repeated()
    assert repeated is not None
    assert (repeated.good, repeated.passed) == (1, "")
    assert [failure.step for failure in repeated.failures] == [1, 4, 6, 8]


def test_another_command_of_the_family_shows_where_it_went_well(book: Book) -> None:
    book.run("pytest tests/b")
    book.run("pytest tests/a")
    book.run("make")
    book.fail(REPEATED_FAILURES)
    repeated = book.ledger.repeated()
    assert repeated is not None
    assert (repeated.good, repeated.passed) == (2, "pytest tests/a")


def test_failures_before_it_went_well_do_not_count(book: Book) -> None:
    book.fail(REPEATED_FAILURES - 1)
    book.edit()
    book.run("pytest -q")
    book.fail()
    assert book.ledger.repeated() is None


@pytest.mark.parametrize("other", ["FAILED tests/test_b.py::test_y - no", "nothing that can be read"])
def test_other_errors_are_another_failure(book: Book, other: str) -> None:
    for number in range(2 * (REPEATED_FAILURES - 1)):
        book.edit()
        book.run("pytest -q", 1, other if number % 2 else FAILED.format(number))
    assert book.ledger.repeated() is None


def test_without_changes_in_between_it_is_no_try(book: Book) -> None:
    for _ in range(2 * REPEATED_FAILURES):
        book.run("pytest -q", 1, FAILED.format(0))
    assert book.ledger.repeated() is None
    book.fail()
    assert book.ledger.repeated() is None


@pytest.mark.parametrize(
    "event",
    [
        UserSpoke(parts=(Text("try it so"),)),
        Labelled(step=1, label="repeated_failure", source="rule"),
    ],
)
def test_words_of_the_user_and_an_offer_begin_the_count_anew(book: Book, event: AnyEvent) -> None:
    book.fail(REPEATED_FAILURES - 1)
    book.take(event)
    book.fail(REPEATED_FAILURES - 1)
    assert book.ledger.repeated() is None
    book.take(UserSpoke(parts=(Text("[a note]"),), source="harness"))
    book.fail()
    assert book.ledger.repeated() is not None


def test_an_edit_that_fails_again_and_again_in_spite_of_changes_is_repeated(book: Book) -> None:
    for number in range(REPEATED_FAILURES):
        book.run(f"sed -i s/{number}/x/ a.py", changed=True)
        book.edit("a.py", "old_string is not in the file: nothing was changed")
    repeated = book.ledger.repeated()
    assert repeated is not None
    assert repeated.failures[-1].kind == "edit a.py"


def test_what_was_tried_is_marked_when_the_files_went_back(book: Book) -> None:
    book.fail(2)
    middle = book.seq
    book.fail(2)
    book.edit()
    book.take(FilesRestored(tree=_TREE))  # Its start was lost to a repair.
    started = RestoreStarted(now=_TREE, was=_TREE, to=_TREE, through=middle, what="rewind", context=False)
    book.take(started)
    assert not any(failure.put_back for failure in book.ledger.failures)
    book.take(FilesRestored(tree=_TREE))
    assert [failure.put_back for failure in book.ledger.failures] == [False, False, True, True]
    assert tried_in_words(list(book.ledger.failures)[-1:]) == "step 8: edit a.py (put back since)"
    book.run("pytest -q", 1, FAILED.format(9))
    assert book.ledger.failures[-1].tried == ()
    assert book.ledger.repeated() is None
    book.fail(REPEATED_FAILURES - 1)
    assert book.ledger.repeated() is not None


def test_the_ledger_is_bounded(book: Book) -> None:
    most = max(LEDGER_FILES, LEDGER_COMMANDS, LEDGER_FAILURES) + 5
    for number in range(most):
        book.edit(f"{number}.py")
        book.run(f"make {number}")
        book.run(f"make {number} broken", 1)
    ledger = book.ledger
    assert (len(ledger.files), len(ledger.failures)) == (LEDGER_FILES, LEDGER_FAILURES)
    assert len(ledger.commands) == len(ledger.passed) == LEDGER_COMMANDS
    assert f"/w/{most - 1}.py" in ledger.files
    assert f"make {most - 1}" in ledger.passed


def test_the_end_of_a_call_that_nobody_knows_is_passed_over(book: Book) -> None:
    book.take(CallFinished(call=CallId("9.0"), outcome="failed", parts=(), command=CommandFact(exit_code=1)))
    assert not book.ledger.commands
    assert Failure("a", "a", (), "", 1, 1).error.line == ""
