from pathlib import Path

import pytest

from hames.core.errors import ConfigError, HamesError
from hames.models.gguf import check_gguf, gguf_server, model_name

pytestmark = pytest.mark.anyio


def test_a_model_is_called_like_its_file() -> None:
    assert model_name("/weights/Small-1B.Q4.gguf") == "Small-1B.Q4"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is no GGUF file"),
        (b"PK\x03\x04 something else", "is no GGUF file"),
        (b"GGUF\x03\x00\x00\x00", "the engine for weights is not installed: pip install 'hames\\[local\\]'"),
    ],
)
def test_weights_that_cannot_be_served_are_refused_at_once(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    file = tmp_path / "small.gguf"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        check_gguf(str(file))


async def test_a_server_that_does_not_start_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(HamesError, match=r"small.gguf did not start; what the engine says of it is above"):
        async with gguf_server(str(tmp_path / "small.gguf")):
            pass


async def test_a_server_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(HamesError, match=r"was not ready after 0 s"):
        async with gguf_server(str(tmp_path / "small.gguf"), start_s=0):
            pass
