"""Which blobs an event names."""

from collections.abc import Iterator
from typing import cast, get_args, get_type_hints

import msgspec
import pytest

from hames.core.events import AnyEvent
from hames.core.ids import BlobId
from hames.core.messages import Image
from hames.stores.naming import mentioned, named_blobs
from hames.testing.samples import BARE, SAMPLES


def _blobs(value: object, hint: object = None) -> Iterator[str]:
    """Everything in `value` that is declared to be a blob, found by the types alone."""
    if isinstance(value, msgspec.Struct):
        hints = get_type_hints(type(value))
        for name in value.__struct_fields__:
            yield from _blobs(getattr(value, name), hints[name])
    elif isinstance(value, tuple):
        for each in cast(tuple[object, ...], value):
            yield from _blobs(each, hint)
    elif isinstance(value, str) and _is_of_blobs(hint):
        yield value


def _is_of_blobs(hint: object) -> bool:
    return hint is BlobId or any(_is_of_blobs(each) for each in get_args(hint))


def _apart_from_lost(event: AnyEvent) -> set[str]:
    lost = getattr(event, "blobs", ())
    return {blob for blob in _blobs(event) if blob not in lost}


@pytest.mark.parametrize("event", [*SAMPLES, *BARE], ids=lambda event: type(event).__name__)
def test_every_blob_of_an_event_is_named_but_those_that_are_lost(event: AnyEvent) -> None:
    assert set(named_blobs(event)) == _apart_from_lost(event)


@pytest.mark.parametrize("event", SAMPLES, ids=lambda event: type(event).__name__)
def test_whatever_is_named_is_mentioned_in_the_encoded_event(event: AnyEvent) -> None:
    assert set(named_blobs(event)) <= set(mentioned(msgspec.json.encode(event)))


def test_the_samples_have_pictures() -> None:
    assert any(isinstance(part, Image) for event in SAMPLES for part in getattr(event, "parts", ()))
