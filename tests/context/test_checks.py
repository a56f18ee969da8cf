import pytest

from hames.context.checks import Looks, looks

ALL = Looks(checks=True, only=True, tells=True)
SILENT = Looks(checks=True, only=True, tells=False)
MORE = Looks(checks=True, only=False, tells=True)
NONE = Looks(checks=False, only=False, tells=True)
BESIDE = Looks(checks=False, only=True, tells=True)


@pytest.mark.parametrize(
    "line",
    [
        "pytest -q",
        "cd x && pytest -q 2>&1",
        "cd x; pytest",
        "cd x\npytest -q",
        "# run the tests\npytest -q",
        "(cd a && pytest)",
        "pytest && ruff check .",
        "pytest >/dev/null 2>&1",
        "set -o pipefail; pytest | tail -5",
        "FOO=1 timeout -k 5 60 pytest",
        "time uv run --frozen pytest",
        "npx tsc --noEmit",
        "python3 -m unittest",
        "python -m ruff check .",
        "python -m coverage run -m unittest",
        "coverage run -m pytest",
        "python tests/run_all.py",
        "ruff format --check .",
        "cargo test",
        "cargo fmt --check",
        "go vet ./... && go test ./...",
        "npm run lint",
        "npm test",
        "./scripts/test -q",
        "./gradlew check",
        "bash scripts/check.sh",
        "bash -n x.sh",
        "make",
        "git status && pytest",
        "pytest < input.txt",
        "pytest \\\n  -q",
    ],
)
def test_a_line_that_only_checks_is_known(line: str) -> None:
    assert looks(line) == ALL


@pytest.mark.parametrize(
    "line",
    [
        "pytest -q | tail -5",
        "pytest || true",
        "true || pytest",
        "pytest; echo $?",
        "pytest &",
        "(pytest) || true",
        "echo $(pytest)",
        "pytest; ruff check .",
    ],
)
def test_an_exit_code_of_something_else_is_not_taken_for_that_of_the_check(line: str) -> None:
    assert looks(line) == SILENT


@pytest.mark.parametrize(
    "line",
    [
        "sed -i s/a/b/ x && pytest",
        "git checkout x && pytest",
        "pytest > out.txt",
        "echo x > src.py && pytest",
    ],
)
def test_a_line_that_does_more_than_check_may_have_changed_something(line: str) -> None:
    assert looks(line) == MORE


@pytest.mark.parametrize(
    "line",
    [
        "ruff check --fix .",
        "ruff format .",
        "cargo fmt",
        "npx eslint --fix src",
        "make clean",
        "npm install",
        "npm run dev",
        "python -c 'print(1)'",
        "python",
        "python -m",
        "bash",
        "latest_build.txt",
    ],
)
def test_what_mends_or_makes_is_no_check(line: str) -> None:
    assert looks(line) == NONE


@pytest.mark.parametrize("line", ["ls", "cat x | grep y", "git diff", "test -f x", "FOO=1", "> /dev/null"])
def test_a_look_around_is_no_check_and_changes_nothing(line: str) -> None:
    assert looks(line) == BESIDE


@pytest.mark.parametrize("line", ["", "  ", "echo 'pytest"])
def test_of_a_line_that_cannot_be_read_nothing_is_known(line: str) -> None:
    assert looks(line) == Looks()
