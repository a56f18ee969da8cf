from hames.context.count import context_tokens, tokens_of
from tests.context.test_view import reply, said, sent, view_of


def test_bytes_are_counted_where_no_reply_has_been() -> None:
    assert context_tokens(view_of(said("go")), 3600) == 1001
    assert context_tokens(view_of(sent(1), reply(1), sent(2)), 3600) == 1001


def test_the_providers_own_count_replaces_the_guess() -> None:
    assert context_tokens(view_of(sent(1), reply(1)), 136) == 10 + tokens_of(36)


def test_a_provider_that_does_not_count_leaves_the_guess() -> None:
    view = view_of(sent(1), reply(1))
    assert view.reply is not None
    view.reply = type(view.reply)(
        step=1,
        attempt=1,
        message=view.reply.message,
        finish="stop",
        model="m",
        raw=view.reply.raw,
        usage=type(view.reply.usage)(),
    )
    assert context_tokens(view, 3600) == 1001
