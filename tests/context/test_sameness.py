import pytest

from hames.context.sameness import essence


def same(one: str, other: str, *, failed: bool) -> bool:
    return essence(one, failed=failed) == essence(other, failed=failed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1 failed in 0.12s", "1 failed in 3.40s"),
        ("Ran 5 tests in 0.003 s", "Ran 5 tests in 0.011 s"),
        ("real 0m0.100s", "real 1m2.304s"),
        ("took 12 ms", "took 8 ms"),
        ("ok  pkg 0.003s", "ok  pkg 0.101s"),
        ("<Thing object at 0x7f3a2b10>", "<Thing object at 0x7fc02b10>"),
        ("no file /tmp/tmpab12cd34/x", "no file /tmp/tmpzz98yy76/x"),
        ("in /tmp/pytest-of-root/pytest-12/test_a0", "in /tmp/pytest-of-root/pytest-13/test_a0"),
        ("built in /tmp/go-build104952/b001", "built in /tmp/go-build204111/b001"),
        ("all of it: read file_path=output://7.0", "all of it: read file_path=output://12.3"),
        ("running in the background as job 7.0", "running in the background as job 9.0"),
        ("see job(action=output, job_id=7.0)", "see job(action=output, job_id=9.1)"),
    ],
)
@pytest.mark.parametrize("failed", [True, False])
def test_what_differs_each_time_is_no_difference(one: str, other: str, failed: bool) -> None:
    assert same(one, other, failed=failed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-22T10:00:01Z refused", "2026-11-22T10:04:59Z refused"),
        ("2026-11-22 10:00:01,123 ERROR refused", "2026-11-23 11:00:01,999 ERROR refused"),
        ("[10:00:01] refused", "[10:00:02.5] refused"),
        ("gave up after 30 seconds", "gave up after 31 seconds"),
        ("killed (pid 1204)", "killed (pid 1377)"),
        ("==120== Invalid read", "==377== Invalid read"),
        (
            "request 0b5c6f3e-8f7d-4f0e-9f6e-2f7a3d0c1b2a failed",
            "request 7b5c6f3e-8f7d-4f0e-9f6e-2f7a3d0c1b2b failed",
        ),
    ],
)
def test_a_failure_is_the_same_at_another_time_but_a_look_at_the_clock_is_news(one: str, other: str) -> None:
    assert same(one, other, failed=True)
    assert not same(one, other, failed=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3 failed in 0.12s", "2 failed in 0.12s"),
        ("41 % done", "42 % done"),
        ("line 12: no such name", "line 13: no such name"),
        ("/tmp/build/a.txt", "/tmp/build/b.txt"),
        ("/tmp/a.txt", "/tmp/b.txt"),
        ("assert 3 == 4", "assert 3 == 5"),
        ("src/a.py:12:34: undefined", "src/a.py:13:34: undefined"),
    ],
)
@pytest.mark.parametrize("failed", [True, False])
def test_numbers_and_names_that_say_something_stay(one: str, other: str, failed: bool) -> None:
    assert not same(one, other, failed=failed)


@pytest.mark.parametrize("piece", ["a", "9", "0x", "1:", "tmp/", "tmp/a", "1.", "pid ", "2026-", "job 1."])
def test_a_very_long_word_is_read_at_once(piece: str) -> None:
    assert len(essence(piece * 8000, failed=True)) <= 8000 * len(piece)
