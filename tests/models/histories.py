"""Histories as the loop makes them: each call has its result, right after the reply that asked for it."""

from hypothesis import strategies as st

from hames.core.ids import BlobId, CallId, call_id
from hames.core.messages import (
    AssistantMessage,
    Call,
    Image,
    Message,
    Part,
    Reasoning,
    Text,
    ToolMessage,
    UserMessage,
)

BLOB = BlobId("0" * 64)
PICTURES = {BLOB: b"\x89PNG"}

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
parts = st.lists(st.one_of(st.builds(Text, texts), st.just(Image("image/png", BLOB))), min_size=1, max_size=3)
thoughts = st.none() | st.builds(
    Reasoning,
    st.sampled_from(["chat/deepseek/reasoning_content", "responses/openai", "messages/other/m"]),
    texts,
)
# Servers differ in their ids; some begin again with each reply. An empty one stands for one of its own.
wire_ids = st.sampled_from(["call_0", "functions.read:0", "0", ""])
arguments = st.one_of(
    st.sampled_from(["{}", '{"file_path":  "a\\u0062" }', "", "{", "[1]", '{"a": "\\ud83d"}']), texts
)
calls = st.builds(
    Call, st.just(CallId("")), wire_ids, st.sampled_from(["read", "no such tool", "查"]), arguments
)


def user(shown: list[Part]) -> UserMessage:
    return UserMessage(tuple(shown))


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """A user's words, replies with their results, and words that came meanwhile; the user's turn is last."""
    messages: list[Message] = [user(draw(parts))]
    for step in range(draw(st.integers(0, 5))):
        made = [
            Call(
                call_id(step, at), call.wire_id or f"toolu_01A09q90qw_{step}_{at}", call.name, call.arguments
            )
            for at, call in enumerate(draw(st.lists(calls, max_size=3, unique_by=lambda call: call.wire_id)))
        ]
        messages.append(AssistantMessage(draw(texts), draw(thoughts), tuple(made)))
        messages += [ToolMessage(call.id, call.wire_id, tuple(draw(parts))) for call in made]
        if not made or draw(st.booleans()):
            messages.append(user(draw(parts)))
    return messages
