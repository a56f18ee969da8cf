"""What comes on the pipes of a command."""

import pytest

from hames.sandboxes.pipes import first_inside, has_run, last_words


@pytest.mark.parametrize(
    ("said", "init", "ran"),
    [
        (b"", 0, False),
        (b'{ "child-pid": 12', 12, False),
        (b'{ "child-pid": 123, "ipc-namespace": 4 }\n', 123, False),
        (b'{ "child-pid": 123, "x": 1 }\n{ "exit-code": 0 }\n', 123, True),
    ],
)
def test_bubblewrap_names_its_init_and_tells_of_a_command_that_ran(said: bytes, init: int, ran: bool) -> None:
    assert (first_inside(said), has_run(said)) == (init, ran)


@pytest.mark.parametrize(
    ("control", "path", "left"),
    [
        (b"", "", 0),
        (b"\n/first\nnonsense\n/last/one\n/cut", "/last/one", 0),
        (b"/good\n/with\0nul\n", "/good", 0),
        (b"/odd\xff\n", "/odd\udcff", 0),
        (b"\n/here\n12\n345\n6", "/here", 2),
        (b"7\n/there\n-8\n", "/there", 0),
    ],
)
def test_the_last_whole_path_on_the_control_pipe_counts_and_what_is_named_after_it(
    control: bytes, path: str, left: int
) -> None:
    assert last_words(control) == (path, left)
