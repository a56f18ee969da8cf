import pytest

from hames.core.errors import ModelError
from hames.models.mending import broken_rule, mended
from hames.models.profiles import resolve


def rejected(words: str, raw: bytes = b"") -> ModelError:
    return ModelError("rejected", words, status=400, raw=raw)


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (
            "The `reasoning_content` in the thinking mode must be passed back to the API.",
            "reasoning_with_calls",
        ),
        ("The encrypted content gAAA... could not be verified.", "reasoning_left_out"),
        ("messages.1.content.0: Invalid `signature` in `thinking` block", "reasoning_left_out"),
        (
            "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified",
            "reasoning_left_out",
        ),
        ("This model does not support image input", "pictures_left_out"),
        (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "output_limit_renamed",
        ),
        ("Unrecognized request argument supplied: stream_options", "usage_not_asked_for"),
        ("messages: roles must alternate", ""),
        ("", ""),
    ],
)
def test_a_rule_is_known_by_the_words_of_the_server(words: str, rule: str) -> None:
    assert broken_rule(rejected(words)) == rule


def test_the_body_counts_where_the_words_do_not_say_enough() -> None:
    assert (
        broken_rule(rejected("no", b'{"error":{"code":"invalid_encrypted_content"}}')) == "reasoning_left_out"
    )


def test_a_profile_changes_by_each_rule_and_by_nothing_else() -> None:
    profile = resolve("deepseek/deepseek-flash")
    again = mended(profile, ["reasoning_left_out", "pictures_left_out", "output_limit_renamed"])
    assert again.provider.reasoning == "never"
    assert again.provider.max_tokens_field == "max_completion_tokens"
    assert (profile.facts.sees, again.facts.sees) == (True, False)
    assert again.facts.window == profile.facts.window
    assert mended(profile, ["usage_not_asked_for"]).provider.stream_usage is False
    assert mended(profile, ["reasoning_with_calls"]).provider.reasoning == "calls"


def test_a_rule_of_a_later_version_changes_nothing() -> None:
    profile = resolve("deepseek/deepseek-flash")
    assert mended(profile, ["made up later"]) == profile
