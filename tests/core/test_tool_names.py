import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.tool_names import tool_meant

NAMES = ("read", "write", "edit", "bash", "grep", "glob", "todo_write", "job", "find_tools", "call_tool")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("read", "read"),
        ("Read", "read"),
        ("BASH", "bash"),
        (" bash\n", "bash"),
        ("TodoWrite", "todo_write"),
        ("Todo-Write", "todo_write"),
        ("find-tools", "find_tools"),
        ("functions.bash", "bash"),
        ("functions.bash:0", "bash"),
        ("default_api.grep", "grep"),
        ("tool.read_file", "read"),
        ("bash<|channel|>commentary", "bash"),
        ("read</arg_value>", "read"),
        ("read_file", "read"),
        ("list_directory", "read"),
        ("create_file", "write"),
        ("str_replace", "edit"),
        ("run_shell_command", "bash"),
        ("execute_command", "bash"),
        ("exec_command(", "bash"),
        ("rg", "grep"),
        ("find_files", "glob"),
    ],
)
def test_a_name_that_is_nearly_one_of_ours_is_understood(name: str, meant: str) -> None:
    assert tool_meant(name, NAMES) == meant


@pytest.mark.parametrize(
    "name", ["", "raed", "bash2", "search", "str_replace_editor", "<|channel|>", "functions.", "apply_patch"]
)
def test_a_name_that_could_be_anything_is_not(name: str) -> None:
    assert tool_meant(name, NAMES) is None


def test_a_tool_of_the_very_name_comes_before_another_that_is_meant_by_it() -> None:
    assert tool_meant("read_file", [*NAMES, "read_file"]) == "read_file"
    assert tool_meant("ReadFile", [*NAMES, "read_file"]) == "read_file"


def test_a_name_of_another_harness_means_nothing_where_its_tool_is_not_there() -> None:
    assert tool_meant("read_file", ["write"]) is None


def test_what_fits_two_tools_means_neither() -> None:
    assert tool_meant("Read", ["re_ad", "rea_d"]) is None


@given(st.text(max_size=30), st.lists(st.text(max_size=12), max_size=4))
def test_whatever_is_meant_was_offered(name: str, names: list[str]) -> None:
    assert tool_meant(name, names) in (None, *names)
