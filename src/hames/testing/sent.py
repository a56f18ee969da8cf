"""What was sent to a model, rebuilt from the log."""

from collections.abc import Mapping, Sequence

from hames.core.events import Entry, RequestSent
from hames.core.ids import BlobId


def requests_in(entries: Sequence[Entry]) -> dict[int, RequestSent]:
    """All requests of a session, by sequence number."""
    return {entry.seq: entry.event for entry in entries if isinstance(entry.event, RequestSent)}


def _pieces_of(requests: Mapping[int, RequestSent], seq: int) -> tuple[BlobId, ...]:
    """The pieces of the request at `seq`, through the chain of those that it extends."""
    chain: list[RequestSent] = []
    at: int | None = seq
    while at is not None:
        chain.append(requests[at])
        at = requests[at].extends
    return tuple(piece for request in reversed(chain) for piece in request.added)


def body_blobs(requests: Mapping[int, RequestSent], seq: int) -> tuple[BlobId, ...]:
    """The blobs that, joined, are the body that was sent as the request at `seq`."""
    request = requests[seq]
    return (request.head, *_pieces_of(requests, seq), request.tail)
