"""The shape script finds what is too big."""

import pytest

from tests.scripts.conftest import Repository

LONG_FUNCTION = "def f() -> None:\n" + "    pass\n" * 60
LONG_CLASS = "class C:\n" + "    x = 1\n" * 250
BRANCHY = "def f(x: int) -> None:\n" + "    if x:\n        pass\n" * 10
FIT = '"""What for."""\n'


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("src/a.py", FIT + "x = 1\n" * 400, "the file has 401 lines; at most 400"),
        ("tests/a.py", FIT + "x = 1\n" * 600, "the file has 601 lines; at most 600"),
        ("src/a.py", FIT + LONG_FUNCTION, "f has 61 lines; at most 60"),
        ("src/a.py", FIT + LONG_FUNCTION.replace("def", "async def"), "f has 61 lines"),
        ("src/a.py", FIT + LONG_CLASS, "class C has 251 lines; at most 250"),
        ("src/a.py", FIT + "def f(a, b, c, d, e, *g, h=1): ...\n", "f takes 7 arguments; at most 6"),
        ("src/a.py", FIT + BRANCHY, "f has a complexity of 11; at most 10"),
        ("src/utils.py", FIT, '"utils" says nothing'),
        ("src/a.py", "x = 1\n", "does not open with one line"),
        ("src/a.py", '"""Two\nlines."""\n', "does not open with one line"),
    ],
)
def test_what_is_over_a_bound_is_found(repository: Repository, path: str, text: str, words: str) -> None:
    repository.write(path, text)
    status, output = repository.run("shape.py")
    assert status == 1
    assert words in output
    assert output.startswith(f"{path}:")


@pytest.mark.parametrize(
    "text",
    [
        FIT + "x = 1\n" * 399,
        FIT + LONG_FUNCTION.replace("    pass\n", "", 1),
        FIT + "class C:\n    def f(self, a, b, c, d, e, g): ...\n",
        FIT + BRANCHY.replace("    if x:\n        pass\n", "", 1),
        '"""One line.\n\nAnd more.\n"""\n',
    ],
)
def test_what_is_just_within_its_bound_passes(repository: Repository, text: str) -> None:
    repository.write("src/a.py", text)
    assert repository.run("shape.py") == (0, "")


def test_a_waiver_lifts_one_finding_and_an_unused_one_fails(repository: Repository) -> None:
    repository.write("src/a.py", FIT + LONG_FUNCTION)
    waiver = '[[waiver]]\npath = "src/a.py"\nrule = "function"\nname = "f"\nreason = "a table"\n'
    repository.write("scripts/shape_waivers.toml", waiver)
    assert repository.run("shape.py") == (0, "")
    repository.write("src/a.py", FIT)
    status, output = repository.run("shape.py")
    assert (status, "is not used; remove it" in output) == (1, True)


def test_a_waiver_without_a_reason_is_an_error(repository: Repository) -> None:
    repository.write("src/a.py", FIT)
    repository.write("scripts/shape_waivers.toml", '[[waiver]]\npath = "src/a.py"\nrule = "file"\n')
    with pytest.raises(AssertionError, match="reason"):
        repository.run("shape.py")
