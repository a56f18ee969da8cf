"""SIGINT and SIGTERM as cancellation: what is cancelled is waited for, and what must not be is not."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def interruptible(work: Callable[[], Awaitable[T]]) -> T | None:
    """Do `work`; None when a signal cancelled it. Returns when the work has really ended.

    More signals change nothing: what stops is already stopping.
    """
    outcome: list[T] = []
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def watch() -> None:
                async for _ in received:
                    scope.cancel()

            tasks.start_soon(watch)
            with scope:
                outcome.append(await work())
            tasks.cancel_scope.cancel()
    return outcome[0] if outcome else None


async def uninterrupted(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` to its end, also when it is cancelled meanwhile: for what must not stop half-way."""
    outcome: list[T] = []
    with anyio.CancelScope(shield=True):
        outcome.append(await work())
    return outcome[0]
