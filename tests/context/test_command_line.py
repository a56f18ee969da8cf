import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.context.command_line import Simple, program, read_line


def simple(words: str, before: str = "", after: str = "") -> Simple:
    return Simple(tuple(words.split()), before, after)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("make all", [simple("make all")]),
        ("cd a && make | tail", [simple("cd a", after="&&"), simple("make", "&&", "|"), simple("tail", "|")]),
        ("a\nb", [simple("a", after=";"), simple("b", ";")]),
        ("a \\\n b", [simple("a b")]),
        ("# why\na", [simple("a", ";")]),
        ("(a; b) || c", [simple("a", "(", ";"), simple("b", ";", "||"), simple("c", "||")]),
        ("a &", [simple("a", after="&")]),
        ("a <<X && b\n; c\nX\nd", [simple("a", after="&&"), simple("b", "&&", ";"), simple("d", ";")]),
        ("a <<'X'\nX", [simple("a")]),
        ("a <<< 'X'; b", [simple("a <<< X", after=";"), simple("b", ";")]),
        ("a 'open", []),
        ("", []),
    ],
)
def test_a_line_is_its_simple_commands_and_what_joins_them(line: str, found: list[Simple]) -> None:
    assert read_line(line) == tuple(found)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("make all", "make all"),
        ("A=1 B=2 make", "make"),
        ("A=1", ""),
        ("timeout -k 5 60s make", "make"),
        ("sudo env A=1 make", "make"),
        ("uv run --frozen pytest", "pytest"),
        ("uv run", "uv run"),
        ("uv sync now", "uv sync now"),
        ("timeout 5", "timeout 5"),
        ("make 2 > out 2 >& 1 &> all x", "make x"),
        ("> out", ""),
        ("", ""),
    ],
)
def test_a_program_is_what_is_left_of_what_only_runs_it(words: str, found: str) -> None:
    assert " ".join(program(words.split())) == found


@given(st.text(alphabet="ab \n;&|()<>'\"\\$#=1-", max_size=30))
def test_any_line_is_read(line: str) -> None:
    for each in read_line(line):
        assert each.words
        program(each.words)


@given(st.text(alphabet="ab1é -./=:,%+@~*?_", max_size=20))
def test_a_line_of_plain_words_is_read_as_any_other(line: str) -> None:
    words = read_line(line)[0].words if line.strip() else ()
    assert read_line(f"{line} ''") == (Simple((*words, ""), "", ""),)
