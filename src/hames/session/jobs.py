"""Background commands: noticing that they ended, and telling the model once."""

from collections.abc import Mapping, Sequence

import anyio

from hames.core.events import CommandFact, JobFinished, JobStarted, OutputFact
from hames.core.ids import JobId
from hames.core.ports import Blobs, CommandEnd, Launcher
from hames.core.text import fit

TOLD_BYTES = 2000
"""What the model is told of a job's output without asking for it."""


class LaunchedJobs:
    """`Jobs` that the launcher runs."""

    def __init__(self, launcher: Launcher, blobs: Blobs) -> None:
        self._launcher = launcher
        self._blobs = blobs

    async def ended(self, live: Mapping[JobId, JobStarted]) -> Sequence[JobFinished]:
        """Those of `live` that are over, whoever was there when they ended."""
        return [event for job in tuple(live.values()) if (event := await self._ended(job)) is not None]

    async def wait(self, live: Mapping[JobId, JobStarted], timeout_s: float) -> None:
        """Return when one of `live` is over, or after `timeout_s`."""
        with anyio.move_on_after(timeout_s):
            async with anyio.create_task_group() as tasks:

                async def watch(job: JobId) -> None:
                    running = await self._launcher.attach(job)
                    if running is not None:
                        await running.wait()
                    tasks.cancel_scope.cancel()

                for job in tuple(live):
                    tasks.start_soon(watch, job)

    async def stop(self, live: Mapping[JobId, JobStarted]) -> Sequence[JobFinished]:
        """Stop all of `live`; returns when they are gone."""
        events: list[JobFinished] = []
        for job in tuple(live.values()):
            running = await self._launcher.attach(job.job)
            if running is None:
                events.append(_gone(job))
            else:
                events.append(await self._finished(job, await running.stop()))
        return events

    async def _ended(self, job: JobStarted) -> JobFinished | None:
        running = await self._launcher.attach(job.job)
        if running is None:
            return _gone(job)
        end = await running.wait(0)
        return None if end is None else await self._finished(job, end)

    async def _finished(self, job: JobStarted, end: CommandEnd) -> JobFinished:
        running = await self._launcher.attach(job.job)
        shown = ""
        output = None
        if running is not None and end.output_bytes:
            head = await running.output(0, TOLD_BYTES)
            tail = await running.output(-TOLD_BYTES, TOLD_BYTES)
            shown = fit(head.data, tail.data, end.output_bytes, TOLD_BYTES, f"output://{job.job}").text
            blob = await self._blobs.keep_file(running.take_output())
            output = OutputFact(blob=blob, bytes=end.output_bytes, kept=end.kept_bytes)
        told = f"[background job {job.job} {_state(end)}: {job.command}]"
        return JobFinished(
            job=job.job, command=end.fact, output=output, told=f"{told}\n{shown}" if shown else told
        )


def _state(end: CommandEnd) -> str:
    if end.lost:
        return f"is lost, and nobody knows how it ended ({end.lost})"
    if end.not_started:
        return f"was not started ({end.not_started})"
    why = ", because hames was gone for too long" if end.unattended else ""
    with_it = ", and with it what it left running" if end.took_along else ""
    return f"ended: {how(end.fact)}{why}{with_it}"


def _gone(job: JobStarted) -> JobFinished:
    told = (
        f"[background job {job.job} was never started: hames was stopped before it could be: {job.command}]"
    )
    return JobFinished(job=job.job, command=CommandFact(stopped=True), output=None, told=told)


def how(fact: CommandFact) -> str:
    """How a command ended, in a few words: each fact by itself."""
    words: list[str] = []
    if fact.exit_code is not None:
        words.append(f"exit {fact.exit_code}")
    if fact.signal is not None:
        words.append(f"signal {fact.signal}")
    if fact.timed_out:
        words.append("timed out")
    if fact.stopped:
        words.append("stopped")
    return f"{', '.join(words) or 'ended'} after {fact.elapsed_s:.1f} s"
