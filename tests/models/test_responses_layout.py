from hypothesis import given
from hypothesis import strategies as st

from hames.core.ids import CallId
from hames.core.messages import AssistantMessage, Call
from hames.models.responses_layout import (
    Called,
    Item,
    Said,
    Thought,
    clean_thought,
    joined,
    plain_items,
    read_layout,
    write_layout,
)

THOUGHT = Thought(b'{"id":"rs_1","type":"reasoning","summary":[]}')
CALL = Call(CallId(""), "call_1", "read", "{}")


def message_of(items: list[Item]) -> AssistantMessage:
    text = joined([item.text for item in items if isinstance(item, Said)])
    return AssistantMessage(text, None, (CALL,) * sum(isinstance(item, Called) for item in items))


def replayed(items: list[Item]) -> list[Item]:
    """What goes back of a reply with these items."""
    message = message_of(items)
    layout = write_layout(items)
    found = plain_items(message) if layout is None else read_layout(layout, message)
    assert found is not None
    return found


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=8) | st.just("\n\n")
items_of_a_reply = st.lists(
    st.one_of(
        st.just(THOUGHT),
        st.builds(Said, texts, st.just("msg_1"), st.sampled_from(["", "commentary"])),
        st.builds(Called, st.just("fc_1")),
    ),
    max_size=6,
)


@given(items_of_a_reply)
def test_texts_and_calls_come_back_in_their_order(items: list[Item]) -> None:
    found = replayed(items)
    assert message_of(found) == message_of(items)
    if any(isinstance(item, Thought) for item in found):
        assert not isinstance(found[-1], Thought)
        whole = [item for item in items if not (isinstance(item, Said) and not item.text)]
        assert whole[: len(found)] == found
        assert all(isinstance(item, Thought) for item in whole[len(found) :])
    else:
        assert all(not item.id for item in found if not isinstance(item, Thought))


def test_a_text_before_calls_needs_no_layout() -> None:
    for items in (
        [],
        [Said("x", "m")],
        [Called("f")],
        [Said("x", "m"), Called("f"), Called("g")],
        [Said("")],
    ):
        assert write_layout(items) is None
    assert (
        write_layout([Called("f"), Said("x", "m")])
        == '[{"type":"function_call"},{"type":"message","size":1}]'
    )
    assert write_layout([Said("x"), Said("y")]) is not None


def test_reasoning_that_nothing_follows_is_left_out() -> None:
    assert write_layout([Said("x", "m"), THOUGHT]) is None
    assert write_layout([THOUGHT, Said("", "m")]) is None
    assert replayed([THOUGHT, Called("f"), THOUGHT]) == [THOUGHT, Called("f")]


def test_where_some_reasoning_cannot_go_back_none_does() -> None:
    assert write_layout([THOUGHT, Said("x"), Thought(b""), Called("f")]) is None
    assert replayed([THOUGHT, Said("x"), Thought(b"")]) == [THOUGHT, Said("x")]


def test_a_layout_is_not_used_for_other_words_or_calls() -> None:
    items: list[Item] = [THOUGHT, Said("four", "m"), Called("f")]
    layout = write_layout(items)
    assert layout is not None
    assert read_layout(layout, AssistantMessage("four", None, (CALL,))) == items
    for text, calls in (("fours", (CALL,)), ("fou", (CALL,)), ("four", ()), ("four", (CALL, CALL))):
        assert read_layout(layout, AssistantMessage(text, None, calls)) is None


def test_a_reasoning_item_keeps_its_bytes_but_not_its_state() -> None:
    came = b'{ "type": "reasoning", "status":"completed", "encrypted_content":"a\\u003d\\/", "content":null }'
    assert clean_thought(came) == b'{"type":"reasoning","encrypted_content":"a\\u003d\\/","summary":[]}'
