import msgspec

from hames.context.count import context_tokens, most_tokens, tokens_of
from hames.core.events import ContextShrunk, Usage
from tests.context.test_view import PINNED, reply, said, sent, view_of


def test_bytes_are_counted_where_no_reply_has_been() -> None:
    assert context_tokens(view_of(said("go")), 3600) == 1001


def test_the_providers_own_count_replaces_the_guess() -> None:
    assert context_tokens(view_of(sent(1), reply(1)), 136) == 10 + tokens_of(36)


def test_a_request_that_was_sent_counts_as_it_did_before_it_was() -> None:
    before, after = view_of(sent(1), reply(1)), view_of(sent(1), reply(1), sent(2), sent(2, 2))
    assert context_tokens(before, 3600) == context_tokens(after, 3600) == 10 + tokens_of(3500)


def test_a_provider_that_does_not_count_leaves_the_guess() -> None:
    for uncounted in (
        msgspec.structs.replace(reply(1), usage=Usage(output=3)),
        msgspec.structs.replace(reply(1), estimated=True),
    ):
        view = view_of(sent(1), uncounted)
        assert context_tokens(view, 3600) == 1001
        assert most_tokens(view, 3600) == 1801


def test_the_most_is_the_last_count_and_rather_too_many_for_what_came_since() -> None:
    view = view_of(sent(1), reply(1), sent(2), sent(2, 2))
    assert most_tokens(view, 136) == 10 + 19
    assert most_tokens(view, 50) == 11
    for begins in (ContextShrunk(segment=2, reason=""), msgspec.structs.replace(PINNED, segment=2)):
        assert most_tokens(view_of(sent(1), reply(1), begins), 100) == 51
