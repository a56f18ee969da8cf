"""Rules of a provider that are known only from its refusals, and how a profile changes by them. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from hames.core.errors import ModelError
from hames.core.profiles import ModelProfile


def _of_provider(**fields: object) -> Callable[[ModelProfile], ModelProfile]:
    def change(profile: ModelProfile) -> ModelProfile:
        provider = msgspec.structs.replace(profile.provider, **fields)
        return msgspec.structs.replace(profile, provider=provider)

    return change


def _blind(profile: ModelProfile) -> ModelProfile:
    return msgspec.structs.replace(profile, facts=msgspec.structs.replace(profile.facts, sees=False))


class _Rule(NamedTuple):
    """A refusal with all words of one of `signs` asks for `change`."""

    signs: tuple[tuple[str, ...], ...]
    change: Callable[[ModelProfile], ModelProfile]


_RULES: dict[str, _Rule] = {
    # DeepSeek behind a gateway: reasoning goes back with every call, an empty one too.
    "reasoning_with_calls": _Rule(
        (("reasoning_content", "must be passed"), ("reasoning_content", "is missing")),
        _of_provider(reasoning="calls"),
    ),
    # Reasoning that was made by another organisation or model, or too long ago, or that nobody wants back.
    "reasoning_left_out": _Rule(
        (
            ("invalid_encrypted_content",),
            ("encrypted content", "could not be"),
            ("thinking", "signature"),
            ("thinking", "cannot be modified"),
            ("reasoning_content", "not permitted"),
            ("reasoning_content", "unsupported"),
            ("reasoning", "extra inputs"),
        ),
        _of_provider(reasoning="never"),
    ),
    "pictures_left_out": _Rule(
        (
            ("image", "not support"),
            ("image", "unsupported"),
            ("image_url", "unknown variant"),
            ("not a multimodal model",),
            ("no endpoints found", "image input"),
        ),
        _blind,
    ),
    "output_limit_renamed": _Rule(
        (("max_completion_tokens", "instead"),), _of_provider(max_tokens_field="max_completion_tokens")
    ),
    "usage_not_asked_for": _Rule((("stream_options",),), _of_provider(stream_usage=False)),
}
"""By the names under which they are on the log. In this order: the first that fits is it."""


def broken_rule(error: ModelError) -> str:
    """The rule that a rejected request has broken, by the words of the server; empty when none is known."""
    words = f"{error} {error.raw.decode('utf-8', 'replace')}".lower()
    for name, rule in _RULES.items():
        if any(all(sign in words for sign in signs) for signs in rule.signs):
            return name
    return ""


def mended(profile: ModelProfile, names: Sequence[str]) -> ModelProfile:
    """The profile by which no request breaks these rules. A name that is not known changes nothing."""
    for name in names:
        if name in _RULES:
            profile = _RULES[name].change(profile)
    return profile
