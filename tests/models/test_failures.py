import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.loop.retry import PASSING
from hames.models.failures import SHOWN_CHARS, About, asked_wait, status_failure, stream_failure
from hames.testing.answering import SPEECHES
from hames.testing.overflows import OVERFLOWS, said_by

ABOUT = About("api.example.com", "some-model", "EXAMPLE_KEY")
NOW = 1_750_000_000.0


def kind(status: int, message: str = "", headers: dict[str, str] | None = None, **fields: str) -> str:
    pairs = "".join(f',"{name}":"{value}"' for name, value in fields.items())
    body = f'{{"error":{{"message":"{message}"{pairs}}}}}'.encode()
    return status_failure(status, headers or {}, body, ABOUT, NOW).kind


@pytest.mark.parametrize(
    ("status", "message", "wanted"),
    [
        (401, "Incorrect API key provided", "auth"),
        (403, "forbidden", "auth"),
        (402, "Insufficient Balance", "balance"),
        (404, "", "unknown_model"),
        (404, "model 'x' not found, try pulling it first", "unknown_model"),
        (400, "Model Not Exist", "unknown_model"),
        (400, "The supported API model names are a, but you passed b.", "unknown_model"),
        (422, "The model `x` does not exist", "unknown_model"),
        (429, "Rate limit reached", "rate"),
        (429, "Allocated quota exceeded, please try later", "rate"),
        (429, "You exceeded your current quota, please check your plan and billing details", "balance"),
        (429, "账户余额不足", "balance"),
        (400, "Your credit balance is too low", "balance"),
        (400, "This model's maximum context length is 8192 tokens", "overflow"),
        (400, "prompt is too long: 210000 tokens > 200000 maximum", "overflow"),
        (400, "input length and `max_tokens` exceed context limit: 9 + 9 > 10", "overflow"),
        (400, "Range of input length should be [1, 98304]", "overflow"),
        (500, "the request exceeds the available context size", "overflow"),
        (413, "", "overflow"),
        (400, "Content Exists Risk", "refused"),
        (400, "API key not valid. Please pass a valid API key.", "auth"),
        (400, "The `reasoning_content` in the thinking mode must be passed back", "rejected"),
        (400, "max_tokens must be at most 8192", "rejected"),
        (409, "", "rejected"),
        (301, "", "rejected"),
        (408, "", "overload"),
        (500, "", "overload"),
        (503, "Service Unavailable", "overload"),
        (529, "Overloaded", "overload"),
    ],
)
def test_a_status_and_its_words_have_a_class(status: int, message: str, wanted: str) -> None:
    assert kind(status, message) == wanted


def test_a_code_is_read_beside_the_words() -> None:
    assert kind(429, "no", code="insufficient_quota") == "balance"
    assert kind(429, "no", {"retry-after": "5"}, code="insufficient_quota") == "balance"
    assert kind(400, "no", code="context_length_exceeded") == "overflow"
    assert kind(400, "no", type="model_not_found") == "unknown_model"


def test_a_server_that_says_when_to_come_back_means_a_rate_limit() -> None:
    assert kind(429, "check your billing", {"retry-after": "5"}) == "rate"


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"too busy"}',
        b'{"message":"too busy"}',
        b'{"detail":"too busy"}',
        b"too busy",
        b'{"error":{"message":"too\\n busy","code":7}}',
    ],
)
def test_the_servers_words_are_found_in_every_shape(body: bytes) -> None:
    error = status_failure(503, {}, body, ABOUT, NOW)
    assert "api.example.com answered 503: " in str(error)
    assert "too busy" in str(error)
    assert (error.status, error.raw) == (503, body)


@given(st.binary(max_size=2000), st.integers(300, 599))
def test_any_body_gives_a_short_printable_message(body: bytes, status: int) -> None:
    message = str(status_failure(status, {}, body, ABOUT, NOW))
    assert message.isprintable()
    assert len(message) <= SHOWN_CHARS + 250


def test_messages_say_what_to_do() -> None:
    assert "Check the API key in EXAMPLE_KEY" in str(status_failure(401, {}, b"", ABOUT, NOW))
    unknown = str(status_failure(404, {}, b"", ABOUT, NOW))
    assert "api.example.com" in unknown
    assert "'some-model'" in unknown
    assert "--model" in unknown
    assert "--base-url" in unknown
    assert "top it up" in str(status_failure(402, {}, b"", ABOUT, NOW))
    assert "redirects" in str(status_failure(302, {}, b"", ABOUT, NOW))


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sun, 15 Jun 2025 15:07:20 GMT"}, 40.0),
        ({"retry-after": "Sun, 15 Jun 2025 15:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 99 Jun 2025 15:07:20 GMT"}, None),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360.0),
        ({"x-ratelimit-reset-tokens": "20ms", "x-ratelimit-remaining-tokens": "0"}, 0.02),
        (
            {
                "x-ratelimit-reset-requests": "1h",
                "x-ratelimit-remaining-requests": "7",
                "x-ratelimit-reset-tokens": "1.5s",
                "x-ratelimit-remaining-tokens": "0",
            },
            1.5,
        ),
        ({"x-ratelimit-reset": "1750000030"}, 30.0),
        ({"x-ratelimit-reset": "1750000030000"}, 30.0),
        ({"x-ratelimit-reset": "12"}, 12.0),
        ({"x-ratelimit-reset": "later"}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_read(headers: dict[str, str], wait_s: float | None) -> None:
    assert asked_wait(headers, NOW) == wait_s


def test_the_wait_is_told_with_the_failure() -> None:
    assert status_failure(429, {"retry-after": "2"}, b"", ABOUT, NOW).wait_s == 2.0
    assert status_failure(503, {"retry-after": "2"}, b"", ABOUT, NOW).wait_s == 2.0
    assert status_failure(400, {"retry-after": "2"}, b"", ABOUT, NOW).wait_s is None


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (b'{"message":"x","code":429}', "rate"),
        (b'{"message":"x","code":502}', "overload"),
        (b'{"message":"x","type":"rate_limit_error"}', "rate"),
        (b'{"message":"maximum context length exceeded","code":400}', "overflow"),
        (b'{"message":"context_length_exceeded"}', "overflow"),
        (b'{"message":"bad request","code":400}', "rejected"),
        (b'"broken"', "overload"),
        (b"[1]", "overload"),
        (b'{"message":"x","code":404}', "overload"),
    ],
)
def test_an_error_in_a_stream_has_a_class(error: bytes, wanted: str) -> None:
    failure = stream_failure(error, "somebody", b"raw")
    assert failure.kind == wanted
    assert "somebody" in str(failure)


def test_only_failures_that_may_pass_are_tried_again() -> None:
    final = {kind(status) for status in (400, 401, 402, 404, 413)}
    passing = {kind(status) for status in (429, 500, 503, 529)}
    assert final.isdisjoint(PASSING)
    assert passing <= PASSING


@pytest.mark.parametrize(
    ("words", "window"),
    [
        (
            "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens "
            "(60000 in the messages, 10000 in the completion).",
            65_536,
        ),
        ("prompt is too long: 210123 tokens > 200000 maximum", 200_000),
        ("Range of input length should be [1, 129024]", 129_024),
        ("Requested token count exceeds the model's maximum context length of 32768 tokens.", 32_768),
        (
            "the request exceeds the available context size (8192 tokens), try increasing it",
            8192,
        ),
        ("The input (90000 tokens) is longer than the model's context length (40,960 tokens).", 40_960),
        ("Your input exceeds the context window of this model. Please adjust your input.", None),
        ("maximum context length is 7 tokens", None),
    ],
)
def test_the_window_is_what_the_server_names(words: str, window: int | None) -> None:
    body = msgspec.json.encode({"error": {"message": words, "code": "context_length_exceeded"}})
    failure = status_failure(400, {}, body, ABOUT, NOW)
    assert (failure.kind, failure.window) == ("overflow", window)
    assert stream_failure(body[9:-1], "somebody", b"").window == window


@pytest.mark.parametrize("who", OVERFLOWS)
def test_an_overflow_is_known_in_the_words_of_each_provider_and_the_window_if_it_is_named(who: str) -> None:
    said = said_by(who, 70_000, 65_536)
    body = said.body.encode() or msgspec.json.encode(SPEECHES["chat"].complaint(said))
    failure = status_failure(said.status, {}, body, ABOUT, NOW)
    named = 65_536 if "65536" in body.decode() else None
    assert (failure.kind, failure.window) == ("overflow", named)


def test_a_gateway_passes_on_what_the_provider_behind_it_says() -> None:
    for raw, kind in (
        ('{"error":{"message":"Insufficient Balance"}}', "balance"),
        ("content exists risk", "refused"),
        ("", "rejected"),
    ):
        metadata = {"raw": raw, "provider_name": "Somebody"}
        error = {"message": "Provider returned error", "code": 400, "metadata": metadata}
        failure = status_failure(400, {}, msgspec.json.encode({"error": error}), ABOUT, NOW)
        assert failure.kind == kind
        assert "Provider returned error" in str(failure)
    for metadata in (None, 5, {"raw": 5}, {"raw": None}, {}):
        body = msgspec.json.encode({"error": {"message": "no", "metadata": metadata}})
        assert status_failure(400, {}, body, ABOUT, NOW).kind == "rejected"
    bare = msgspec.json.encode({"error": {"metadata": {"raw": "Insufficient balance"}}})
    assert status_failure(400, {}, bare, ABOUT, NOW).kind == "balance"


def test_only_an_overflow_names_a_window() -> None:
    body = b'{"error":{"message":"maximum context length is 65536 tokens is not the trouble"}}'
    assert status_failure(500, {}, b'{"error":{"message":"down"}}', ABOUT, NOW).window is None
    assert status_failure(429, {}, body, ABOUT, NOW).window is None
