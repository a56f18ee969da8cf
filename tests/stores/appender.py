"""A process of its own that appends to a store: to be killed, or to meet a full disk.

`loop DIR` appends for ever and prints the head after each append. `fill DIR` appends until the disk is
full, makes room, goes on, and prints what it met as JSON. `few DIR NAME` makes twenty appends to the
session NAME. `step DIR` makes an append for each line of standard input. `ends DIR` fills the disk and
then ends five sessions. `scratch DIR` begins a file in a scratch directory, prints where, and waits for
the end of standard input. `open DIR` only opens, and prints what it is told when that fails.
"""

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from hames.core.errors import Fenced, StoreError, StoreFull
from hames.core.events import AnyEvent, TurnEnded, TurnStarted, UserSpoke
from hames.core.ids import SessionId, blob_id
from hames.core.limits import INLINE_BYTES
from hames.core.messages import Text
from hames.core.ports import Claim
from hames.stores.scratch import scratch
from hames.stores.sqlite import SqliteStore, open_sqlite
from hames.testing.clock import VirtualClock

SESSION = SessionId("s")


def _step(turn: int) -> Sequence[AnyEvent]:
    return (TurnStarted(turn), UserSpoke((Text("x" * 500),)), TurnEnded(turn, "done", ""))


async def _loop(directory: str) -> None:
    async with await open_sqlite(directory, VirtualClock()) as store:
        claim = await store.claim(SESSION)
        while True:
            blob = claim.head.to_bytes(8, "big")
            big = blob * (INLINE_BYTES // 8 + 1)
            claim, _ = await store.append(claim, _step(claim.head), (blob, big))
            print(claim.head, flush=True)


async def _until_full(store: SqliteStore, claim: Claim, size: int) -> tuple[Claim, str]:
    # The claim after the last append that was acknowledged, and what was said of the next one.
    while True:
        try:
            claim, _ = await store.append(claim, _step(1), (claim.head.to_bytes(8, "big") * (size // 8),))
        except StoreFull as error:
            return claim, str(error)


async def _side_by_side(store: SqliteStore) -> dict[str, bool]:
    # Of these, asked for at the same time, only `big` does not fit on the disk.
    fitted: dict[str, bool] = {}

    async def one(name: str, count: int) -> None:
        claim = await store.claim(SessionId(name))
        await arrived.wait()
        blobs = [number.to_bytes(8, "big") * (INLINE_BYTES // 8) for number in range(count)]
        try:
            await store.append(claim, _step(1), blobs)
        except StoreFull:
            fitted[name] = False
        else:
            fitted[name] = True

    arrived = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for name, count in (("first", 0), ("big", 30), ("small", 0), ("other", 0)):
            tasks.start_soon(one, name, count)
        await anyio.wait_all_tasks_blocked()
        arrived.set()
    return fitted


def _occupy(directory: str) -> None:
    Path(directory, "filler").write_bytes(bytes(200_000))


def _make_room(directory: str) -> None:
    Path(directory, "filler").unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


async def _fill(directory: str) -> None:
    _occupy(directory)
    async with await open_sqlite(directory, VirtualClock()) as store:
        claim = await store.claim(SESSION)
        beside = await _side_by_side(store)
        claim, small_words = await _until_full(store, claim, 1000)
        claim, big_words = await _until_full(store, claim, INLINE_BYTES * 8)
        acknowledged = claim.head
        _make_room(directory)
        claim, _ = await store.append(claim, _step(2), (b"after",))
        read = len(await store.read(SESSION))
        last = (await store.get(blob_id(b"after"))).decode()
    print(
        json.dumps(
            {
                "beside": beside,
                "acknowledged": acknowledged,
                "words": [small_words, big_words],
                "head": claim.head,
                "read": read,
                "blob": last,
            }
        )
    )


async def _ends(directory: str) -> None:
    reserve = Path(directory, "reserve")
    refused: list[str] = []
    steps = 0
    async with await open_sqlite(directory, VirtualClock()) as store:
        there = [reserve.exists()]
        claims = [await store.claim(SessionId(f"s{number}")) for number in range(5)]
        while not refused:
            data = steps.to_bytes(8, "big") * 1000
            try:
                claims[0], _ = await store.append(claims[0], [TurnStarted(steps), _words()], (data,))
            except StoreFull as error:
                refused.append(str(error))
            else:
                steps += 1
        there.append(reserve.exists())
        for claim in claims[1:]:
            try:
                await store.append(claim, [TurnStarted(1)], (claim.session.encode() * 30_000,))
            except StoreFull as error:
                refused.append(str(error))
        ended = [await store.append(claim, [TurnEnded(1, "failed", "full", "disk")]) for claim in claims]
        for path in Path(directory).glob("filler*"):
            path.unlink()
        await store.append(ended[0][0], [TurnStarted(2)])
        there.append(reserve.exists())
        read = sum([len(await store.read(claim.session)) for claim in claims])
    print(
        json.dumps({"steps": steps, "refused": refused, "ended": len(ended), "reserve": there, "read": read})
    )


def _words() -> AnyEvent:
    return UserSpoke((Text("x" * 500),))


async def _few(directory: str, name: str) -> None:
    async with await open_sqlite(directory, VirtualClock()) as store:
        claim = await store.claim(SessionId(name))
        for turn in range(20):
            claim, _ = await store.append(claim, _step(turn))


async def _stepwise(directory: str) -> None:
    async with await open_sqlite(directory, VirtualClock()) as store:
        claim = await store.claim(SESSION)
        print("ready", flush=True)
        for number, _ in enumerate(sys.stdin, 1):
            try:
                claim, _ = await store.append(
                    claim, [TurnStarted(number)], (b"of the old owner %d" % number,)
                )
            except Fenced as error:
                print(error, flush=True)
            else:
                print(claim.head, flush=True)


def _scratch(directory: str) -> None:
    with scratch(directory) as place:
        Path(place, "pack.1.0").write_bytes(b"half")
        print(place, flush=True)
        sys.stdin.read()


async def _open(directory: str) -> None:
    try:
        async with await open_sqlite(directory, VirtualClock()):
            print("opened")
    except StoreError as error:
        print(error)


def main() -> None:
    mode, directory, *more = sys.argv[1:]
    match mode:
        case "loop":
            anyio.run(_loop, directory)
        case "fill":
            if more:
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(more[0]), resource.RLIM_INFINITY))
            anyio.run(_fill, directory)
        case "ends":
            Path(directory, "filler").write_bytes(bytes(800_000))
            anyio.run(_ends, directory)
        case "few":
            anyio.run(_few, directory, more[0])
        case "step":
            anyio.run(_stepwise, directory)
        case "scratch":
            _scratch(directory)
        case _:
            anyio.run(_open, directory)


main()
