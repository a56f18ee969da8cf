import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.context.errors_named import read_error

PYTEST = """
____________________ test_total ____________________
    def test_total():
>       assert total([1]) == 2
E       assert 1 == 2

tests/test_sum.py:7: AssertionError
=========== short test summary info ===========
FAILED tests/test_sum.py::test_total - assert 1 == 2
FAILED tests/test_sum.py::test_none[a b] - TypeError: no
2 failed in 0.12s
[exit 1]
"""
TRACEBACK = """Traceback (most recent call last):
  File "/w/src/run.py", line 3, in <module>
    import missing
ModuleNotFoundError: No module named 'missing'
[exit 1]"""
GCC = "gcc -c a.c\nsrc/a.c:12:5: error: 'x' undeclared\nsrc/a.c:14:1: warning: unused\n[exit 1]"
RUSTC = "   Compiling a\nerror[E0308]: mismatched types\n --> src/main.rs:4:9\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (PYTEST, "tests/test_sum.py::test_total and 1 more"),
        ("FAIL: test_a (tests.test_x.TestX)\nFAILED (failures=1)", "test_a (tests.test_x.TestX)"),
        ("--- FAIL: TestSum (0.00s)\n    sum_test.go:9: got 1\nFAIL\n", "TestSum"),
        ("test sum::total ... FAILED\ntest sum::none ... ok", "sum::total"),
        ("ok 1 - a\nnot ok 2 - adds numbers\n", "adds numbers"),
        ("  \u25cf sum \u203a adds\n", "sum \u203a adds"),
        (" FAIL  src/a.test.ts\n", "src/a.test.ts"),
        (RUSTC, "mismatched types"),
        (GCC, "src/a.c:12:5: error: 'x' undeclared"),
        (
            "src/a.ts(3,5): error TS2304: Cannot find name 'x'.",
            "src/a.ts(3,5): error TS2304: Cannot find name 'x'.",
        ),
        ("src/a.py:3: error: Incompatible types", "src/a.py:3: error: Incompatible types"),
        ("# pkg\n./a.go:3:2: undefined: x", "./a.go:3:2: undefined: x"),
        ("src/a.py:3:1: F401 unused import", "src/a.py:3:1: F401 unused import"),
        (TRACEBACK, "ModuleNotFoundError: No module named 'missing'"),
        ("    at x\nTypeError: x is not a function\n", "TypeError: x is not a function"),
        ("Traceback (most recent call last):\nKeyboardInterrupt\n", "KeyboardInterrupt"),
        ("bash: line 1: foo: command not found\n[exit 127]", "foo: command not found"),
        ("gcc a.c\nmake: *** [Makefile:3: all] Error 1", "[Makefile:3: all] Error 1"),
        ("Connecting\nfatal: the remote end hung up\nbye", "fatal: the remote end hung up"),
        ("first\nlast words\n[exit 3]", "last words"),
        ("(no output)\n[exit 1]", "(no output)"),
        ("[exit 1]", ""),
        ("", ""),
    ],
)
def test_what_went_wrong_is_read_in_many_forms(text: str, line: str) -> None:
    assert read_error(text).line == line


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (GCC, GCC.replace(":12:5:", ":19:2:")),
        (PYTEST, PYTEST.replace("assert 1 == 2", "assert 3 == 2").replace("0.12s", "7.10s")),
        ("a.ts(3,5): error TS1: no", "a.ts(9,1): error TS1: no"),
        ("Error: cannot parse line 12 of a", "Error: cannot parse line 14 of a"),
    ],
)
def test_a_failure_is_of_the_same_kind_after_lines_have_moved(one: str, other: str) -> None:
    assert read_error(one).key == read_error(other).key != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PYTEST, PYTEST.replace("FAILED tests/test_sum.py::test_none[a b] - TypeError: no\n", "")),
        (GCC, GCC.replace("'x'", "'y'")),
        (TRACEBACK, TRACEBACK.replace("'missing'", "'lacking'")),
    ],
)
def test_fewer_or_other_errors_are_another_kind(one: str, other: str) -> None:
    assert read_error(one).key != read_error(other).key


def test_the_files_that_an_error_names_are_told_with_their_lines() -> None:
    assert read_error(PYTEST).places == {"tests/test_sum.py": 7}
    assert read_error(TRACEBACK).places == {"/w/src/run.py": 3}
    assert read_error(GCC).places == {"src/a.c": 14}
    assert read_error(RUSTC).places == {"src/main.rs": 4}
    assert read_error("src/a.ts(3,5): error TS1: no").places == {"src/a.ts": 3}


@pytest.mark.parametrize("piece", ["a", "a.", "a/", "a:", "9", "FAILED ", "error", "x: ", "tmp/", "a.c:"])
def test_a_very_long_line_is_read_at_once(piece: str) -> None:
    assert len(read_error(piece * 8000).line) < 200


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    named = read_error(text)
    assert len(named.key) <= 300
    assert "\n" not in named.line
