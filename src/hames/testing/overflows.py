"""In what words providers say that a request is too long for the model."""

from collections.abc import Mapping

from hames.core.profiles import WireName
from hames.testing.script import Served

OVERFLOWS: Mapping[str, Served] = {
    "deepseek": Served(
        status=400,
        message="This model's maximum context length is {window} tokens. However, you requested {asked} "
        "tokens ({asked} in the messages, 0 in the completion). Please reduce the length of the messages or "
        "completion.",
        type="invalid_request_error",
        code="invalid_request_error",
    ),
    "openai": Served(
        status=400,
        message="Your input exceeds the context window of this model. Please adjust your input and try "
        "again.",
        type="invalid_request_error",
        code="context_length_exceeded",
    ),
    "anthropic": Served(
        status=400,
        message="prompt is too long: {asked} tokens > {window} maximum",
        type="invalid_request_error",
    ),
    "anthropic_output": Served(
        status=400,
        message="input length and `max_tokens` exceed context limit: {asked} + 8192 > {window}, decrease "
        "input length or `max_tokens` and try again",
        type="invalid_request_error",
    ),
    "anthropic_size": Served(
        status=413, message="Request exceeds the maximum size", type="request_too_large"
    ),
    "qwen": Served(
        status=400,
        message="<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, {window}]",
        type="invalid_request_error",
        code="invalid_parameter_error",
    ),
    "kimi": Served(
        status=400,
        message="Invalid request: Your request exceeded model token limit: {window}",
        type="invalid_request_error",
    ),
    "glm": Served(status=400, body='{{"error":{{"code":"1261","message":"Prompt exceeds max length"}}}}'),
    "minimax": Served(
        status=400,
        message="invalid params, context window exceeds limit (2013)",
        type="bad_request_error",
        code="2013",
    ),
    "grok": Served(
        status=400,
        body='{{"code":"Client specified an invalid argument","error":"This model\'s maximum prompt length '
        'is {window} but the request contains {asked} tokens."}}',
    ),
    "openrouter": Served(
        status=400,
        body='{{"error":{{"message":"Provider returned error","code":400,"metadata":{{"raw":"{{\\"error\\":'
        '{{\\"message\\":\\"This model\'s maximum context length is {window} tokens. However, your messages '
        'resulted in {asked} tokens.\\",\\"code\\":400}}}}","provider_name":"Someone"}}}}}}',
    ),
    "vllm": Served(
        status=400,
        message="This model's maximum context length is {window} tokens. However, your request has {asked} "
        "input tokens. Please reduce the length of the input messages.",
        type="BadRequestError",
        code="400",
    ),
    "sglang": Served(
        status=400,
        message="The input ({asked} tokens) is longer than the model's context length ({window} tokens).",
        type="BadRequestError",
        code="400",
    ),
    "sglang_limit": Served(
        status=400,
        message="Input length ({asked} tokens) exceeds the maximum allowed length ({window} tokens).",
        type="BadRequestError",
    ),
    "llama.cpp": Served(
        status=400,
        body='{{"error":{{"code":400,"message":"the request exceeds the available context size, try '
        'increasing it","type":"exceed_context_size_error","n_prompt_tokens":{asked},"n_ctx":{window}}}}}',
    ),
}
"""By who says it. `{window}` and `{asked}` are numbers of tokens."""

_NAMED: Mapping[WireName, str] = {"chat": "deepseek", "messages": "anthropic", "responses": "vllm"}
_UNNAMED: Mapping[WireName, str] = {"chat": "glm", "messages": "anthropic_size", "responses": "openai"}


def overflow(wire: WireName, asked: int, window: int, *, named: bool = True) -> Served:
    """What a server of this wire says of a request that is too long; the window is named in it or not."""
    return said_by((_NAMED if named else _UNNAMED)[wire], asked, window)


def said_by(who: str, asked: int, window: int) -> Served:
    """What one provider says of it."""
    said = OVERFLOWS[who]
    return Served(
        status=said.status,
        message=said.message.format(asked=asked, window=window),
        type=said.type,
        code=said.code,
        body=said.body.format(asked=asked, window=window),
        headers={"Content-Type": "application/json"},
    )
