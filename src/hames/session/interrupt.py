"""SIGINT and SIGTERM as cancellation: what is cancelled is waited for, and what must not be is not."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def interruptible(work: Callable[[], Awaitable[T]]) -> T | None:
    """Do `work`; None when a signal cancelled it. Returns when the work has really ended, and raises what it
    raises.

    More signals change nothing: what stops is already stopping.
    """
    outcome: list[T] = []
    failures: list[Exception] = []
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def watch() -> None:
                async for _ in received:
                    scope.cancel()

            tasks.start_soon(watch)
            with scope:
                try:
                    outcome.append(await work())
                except Exception as error:  # noqa: BLE001 - raised below, without the group around it
                    failures.append(error)
            tasks.cancel_scope.cancel()
    if failures:
        raise failures[0]
    return outcome[0] if outcome else None


async def uninterrupted(work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` to its end, also when it is cancelled meanwhile: for what must not stop half-way."""
    outcome: list[T] = []
    with anyio.CancelScope(shield=True):
        outcome.append(await work())
    return outcome[0]
