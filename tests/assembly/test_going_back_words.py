import msgspec
import pytest

from hames.assembly.ask_for import BackRequest
from hames.assembly.going_back_words import SHOWN, SHOWN_DIFF, as_json, told
from hames.core.events import TakenBack
from hames.core.ids import SessionId
from hames.session.taking_back import Kept, TookBack
from hames.snapshots.entries import NotCovered
from hames.snapshots.restore import Failure

ID = SessionId("01jd7v")


def took(what: TakenBack = "undo", **more: object) -> TookBack:
    bare = TookBack(ID, what, 7, said=(), changed=(), kept=(), failed=(), not_covered=())
    return msgspec.structs.replace(bare, **more)


def lines(of: TookBack, *, place: str = "", typed: bool = False, **asked: bool) -> list[str]:
    return list(told(of, msgspec.structs.replace(BackRequest(of.what), **asked), place=place, typed=typed))


def test_all_that_went_back_is_told_and_how_to_go_on() -> None:
    changed = (("a", "content"), ("b/c", "added"), ("d", "removed"), ("e", "mode"), ("f", "kind"))
    assert lines(took(said=("fix it",), changed=changed)) == [
        "undone: session 01jd7v is as after entry 7",
        "  your words: fix it",
        "  restored    a",
        "  made again  b/c",
        "  removed     d",
        "  mode        e",
        "  replaced    f",
        "to take this back: hames redo 01jd7v",
        "to go on: hames --resume 01jd7v",
    ]


def test_what_was_made_or_removed_with_its_directory_is_counted_there() -> None:
    made = [("g", "added"), ("g/a", "added"), ("g/a/b", "added"), ("g-x", "added")]
    gone = [("h", "removed"), ("h/a", "removed"), ("m", "mode"), ("m/a", "added"), ("m/b", "content")]
    assert lines(took(changed=(*gone, *made)))[1:7] == [
        "  made again  g (and 2 below it)",
        "  made again  g-x",
        "  removed     h (and 1 below it)",
        "  mode        m",
        "  made again  m/a",
        "  restored    m/b",
    ]


@pytest.mark.parametrize(
    ("what", "heading"),
    [
        ("undo", "undone: the files of session 01jd7v are as after entry 7"),
        ("redo", "redone: the files of session 01jd7v are as after entry 7"),
        ("rewind", "rewound: the files of session 01jd7v are as after entry 7"),
        ("fork", "forked: session 01jd7v goes on from entry 7"),
    ],
)
def test_the_heading_says_what_was_done(what: TakenBack, heading: str) -> None:
    assert lines(took(what), context=False)[0] == heading


def test_of_words_alone_no_file_is_told() -> None:
    gaps = (NotCovered("big", "large"),)
    assert lines(took("rewind", not_covered=gaps), files=False) == [
        "rewound: the words of session 01jd7v are as after entry 7",
        "to take this back: hames redo 01jd7v",
        "to go on: hames --resume 01jd7v",
    ]


def test_of_long_words_the_start_is_told() -> None:
    told_ = lines(took(said=("fix it\nby tomorrow", "x" * 200, " ")))
    assert told_[1:4] == [
        "  your words: fix it ...",
        f"  your words: {'x' * 99}…",
        "  your words: ",
    ]


def test_a_fork_elsewhere_is_gone_on_with_there() -> None:
    asked = BackRequest("fork", worktree="/w/it's")
    assert list(told(took("fork", said=("more",)), asked, place="/w/it's")) == [
        "forked: session 01jd7v goes on from entry 7",
        "  not taken along: more",
        "  its files are in /w/it's",
        "to go on: hames --resume 01jd7v --cwd '/w/it'\"'\"'s'",
    ]


def test_what_is_kept_is_told_with_why_the_difference_and_how_to_force_it() -> None:
    kept = (
        Kept("a b", "changed", ("--- a b", "+yours")),
        Kept("d", "not_empty", ()),
        Kept("s", "not_covered", ()),
        Kept("d/e", "in_the_way", ()),
    )
    told_ = lines(took(kept=kept))
    assert told_[1:] == [
        "  no file had to be changed",
        "kept as they are now:",
        "  a b: changed by somebody since",
        "    --- a b",
        "    +yours",
        "  d: a directory that holds something of somebody else's",
        "  s: no snapshot has it",
        "  d/e: something above it stays",
        "to have one go back all the same: hames rewind 01jd7v@7 --files --force 'a b'",
        "to take this back: hames redo 01jd7v",
        "to go on: hames --resume 01jd7v",
    ]
    assert not any("--force" in line for line in lines(took(kept=kept[1:])))


def test_failures_and_what_is_not_covered_are_told() -> None:
    gaps = (
        NotCovered("var", "ignored", 3, 2_000_000),
        NotCovered("s", "special"),
        NotCovered("x", "set_aside"),
    )
    told_ = lines(took(failed=(Failure("a", "Permission denied"),), not_covered=gaps))
    assert told_[2:7] == [
        "could not be changed:",
        "  a: Permission denied",
        "not covered, and so left alone:",
        "  var: git ignores it, and there is too much (3 files, 2.0 MB)",
        "  s: a socket, a pipe or a device",
    ]
    assert not any("x:" in line for line in told_)


def test_many_paths_are_counted_and_a_long_difference_is_cut() -> None:
    changed = tuple((f"f{number}", "content") for number in range(SHOWN + 3))
    told_ = lines(took(changed=changed, kept=(Kept("a", "changed", ("x",) * (SHOWN_DIFF + 2)),)))
    assert "  ... and 3 more (--output-format json names all)" in told_
    assert sum(line.startswith("  restored") for line in told_) == SHOWN
    assert "    ... 2 lines more" in told_
    assert told_.count("    x") == SHOWN_DIFF


def test_in_a_conversation_the_commands_are_those_of_a_conversation() -> None:
    kept = (Kept("a", "changed", ()),)
    told_ = lines(took(kept=kept), typed=True)
    assert told_[-2:] == [
        "to have one go back all the same: /rewind 7 --files --force a",
        "to take this back: /redo",
    ]


def test_nothing_that_comes_from_outside_reaches_the_terminal_as_it_is() -> None:
    evil = "a\x1b[2J\nb\udcff"
    whole = took(
        said=(evil,),
        changed=((evil, "added"),),
        kept=(Kept(evil, "changed", (evil,)),),
        failed=(Failure(evil, evil),),
        not_covered=(NotCovered(evil, "large"),),
    )
    for line in lines(whole, place=evil):
        assert "\x1b" not in line
        assert "\n" not in line
        line.encode()


def test_json_has_all_of_it_in_one_line() -> None:
    changed = tuple((f"f{number}", "content") for number in range(SHOWN + 3))
    whole = took(changed=changed, kept=(Kept("a\n", "changed", ("x",)),))
    line = as_json(whole)
    assert "\n" not in line
    assert msgspec.json.decode(line, type=TookBack) == whole


def test_json_can_be_written_whatever_bytes_a_name_has() -> None:
    whole = took(changed=(("a\udcff", "content"),), failed=(Failure("b\udcfe", "x"),))
    read = msgspec.json.decode(as_json(whole), type=TookBack)
    assert (read.changed, read.failed[0].path) == ((("a\ufffd", "content"),), "b\ufffd")
