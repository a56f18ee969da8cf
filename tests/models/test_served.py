import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from hames.core.errors import ExitCode, ModelError
from hames.models.client import HttpClient
from hames.models.served import MOST_BYTES, ServedModel, served_models
from tests.models.rig import RealClock, read_request, response, talking

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret"


@asynccontextmanager
async def listing(answer: bytes) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """A server that answers everything with these bytes; its base URL, and the heads of what it was asked."""
    heads: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await read_request(reader))[0])
        writer.write(answer)
        await reader.read()

    async with talking(talk) as port:
        yield f"http://127.0.0.1:{port}/v1", heads


async def listed(base_url: str, key: str | None = None, limit_s: float = 10.0) -> tuple[ServedModel, ...]:
    client = HttpClient(RealClock())
    try:
        return await served_models(client, RealClock(), base_url, key, limit_s)
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("entry", "model"),
    [
        (
            b'{"id":"a","owned_by":"llamacpp","meta":{"n_ctx":8192,"n_ctx_train":4096}}',
            ServedModel("a", 4096, "llamacpp"),
        ),
        (b'{"id":"a","owned_by":"llamacpp","meta":null}', ServedModel("a", None, "llamacpp")),
        (
            b'{"id":"Qwen/Qwen3-8B","owned_by":"vllm","max_model_len":40960}',
            ServedModel("Qwen/Qwen3-8B", 40960, "vllm"),
        ),
        (b'{"id":"a","object":"model","owned_by":"library"}', ServedModel("a", None, "library")),
        (b'{"id":"a","context_length":1000000}', ServedModel("a", 1000000)),
    ],
)
async def test_the_models_are_listed_with_their_windows_as_each_server_tells_them(
    entry: bytes, model: ServedModel
) -> None:
    answer = response(b'{"object":"list","data":[%b]}' % entry)
    async with listing(answer) as (url, heads):
        assert await listed(url, KEY) == (model,)
    assert heads[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert f"Authorization: Bearer {KEY}".encode() in heads[0]


async def test_without_a_key_none_is_sent() -> None:
    async with listing(response(b'{"data":[]}')) as (url, heads):
        assert await listed(url) == ()
    assert b"authorization" not in heads[0].lower()


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [
        (response(b"", 404), "most base URLs end with /v1", ExitCode.CONFIG),
        (response(KEY.encode(), 401), "answered 401. Check the API key", ExitCode.AUTH),
        (response(b"<html>", 200), "no list of models that can be read", ExitCode.UNAVAILABLE),
        (response(b'{"models":[]}', 200), "no list of models that can be read", ExitCode.UNAVAILABLE),
        (response(b"x" * (MOST_BYTES + 1)), "the list of models is too long", ExitCode.UNAVAILABLE),
    ],
)
async def test_a_server_without_a_list_is_told_of_without_its_words(
    answer: bytes, words: str, code: ExitCode
) -> None:
    async with listing(answer) as (url, _):
        with pytest.raises(ModelError) as told:
            await listed(url, KEY)
    assert words in str(told.value)
    assert KEY not in str(told.value)
    assert told.value.exit_code == code


async def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    async with listing(b"HTTP/1.1 200 OK\r\n") as (url, _):
        with pytest.raises(ModelError, match=r"did not tell its models in 0\.1 s"):
            await listed(url, limit_s=0.1)
