import pytest

from hames.core.errors import FailureKind, ModelError
from hames.loop.retry import OF_NO_USE, OF_THE_MODEL, PASSING, GiveUp, Spent, TryAgain, verdict


def decided(
    kind: FailureKind, left_s: float | None = 100.0, useless: int = 1, wait_s: float | None = None
) -> TryAgain | GiveUp:
    error = ModelError(kind, "no", wait_s=wait_s)
    return verdict(error, 1000.0 + (wait_s or 5.0), 1000.0, Spent(200.0, useless, left_s), 3)


@pytest.mark.parametrize("kind", sorted(PASSING | OF_NO_USE))
def test_what_may_pass_is_tried_again_when_it_is_due(kind: FailureKind) -> None:
    assert decided(kind) == TryAgain(1005.0)


@pytest.mark.parametrize("kind", [*sorted(OF_THE_MODEL), "refused", "rejected", "overflow"])
def test_what_cannot_pass_is_given_up_in_its_own_words(kind: FailureKind) -> None:
    assert decided(kind) == GiveUp("no")


@pytest.mark.parametrize("kind", sorted(PASSING))
def test_patience_ends_what_may_pass(kind: FailureKind) -> None:
    given_up = decided(kind, left_s=0)
    assert isinstance(given_up, GiveUp)
    assert given_up.limit == "patience_s"
    assert given_up.why == (
        "no. It was waited for, 3 min in all; go on later with --resume, or allow more with --patience"
    )


def test_without_an_end_of_patience_every_wait_is_kept() -> None:
    assert decided("rate", left_s=None, wait_s=7200.0) == TryAgain(8200.0)


def test_a_wait_that_a_server_asks_for_and_that_is_too_long_is_not_begun() -> None:
    given_up = decided("rate", wait_s=3600.0)
    assert isinstance(given_up, GiveUp)
    assert given_up.why.startswith("no. The next attempt would be in 60 min, and 100 s are left;")
    assert decided("rate", wait_s=100.0) == TryAgain(1100.0)


def test_a_wait_of_our_own_is_cut_to_what_is_left() -> None:
    assert decided("transport", left_s=2.0) == TryAgain(1002.0)


@pytest.mark.parametrize("kind", sorted(OF_NO_USE))
def test_what_is_of_no_use_is_tried_a_few_times(kind: FailureKind) -> None:
    assert isinstance(decided(kind, useless=2), TryAgain)
    assert decided(kind, useless=3) == GiveUp("no. 3 attempts were of no use", "attempts")


@pytest.mark.parametrize("kind", sorted(OF_NO_USE))
def test_patience_ends_what_is_of_no_use_too(kind: FailureKind) -> None:
    assert isinstance(decided(kind, left_s=-1.0), GiveUp)
