"""A test that CI must run is not skipped in silence."""

from tests.scripts.conftest import Repository

CASE = '<testcase classname="tests.test_a" name="test_b">{}</testcase>'
SKIP = CASE.format('<skipped type="pytest.skip" message="no {}"/>')


def run(repository: Repository, *cases: str) -> tuple[int, str]:
    repository.write("report.xml", f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    repository.write("may_skip.txt", "# a comment\nno bwrap*\n\n")
    return repository.run("skips.py", "report.xml", "may_skip.txt")


def test_a_run_without_skips_is_fine(repository: Repository) -> None:
    status, output = run(repository, CASE.format(""))
    assert (status, output) == (0, "1 tests in the report, 0 of them skipped that must run\n")


def test_a_known_reason_is_fine_and_is_shown(repository: Repository) -> None:
    status, output = run(repository, SKIP.format("bwrap here"))
    assert status == 0
    assert output.startswith("may skip: tests.test_a test_b: no bwrap here\n")


def test_an_unknown_reason_fails(repository: Repository) -> None:
    status, output = run(repository, SKIP.format("mood"))
    assert status == 1
    assert output.startswith("MUST RUN: tests.test_a test_b: no mood\n")


def test_a_report_without_tests_fails(repository: Repository) -> None:
    assert run(repository)[0] == 1
