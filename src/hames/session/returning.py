"""Puts files back in the midst of a turn: for the model, or for the rule that acts for it."""

from collections.abc import Sequence

from hames.context.rewinding import taken_back
from hames.context.view import View
from hames.core.errors import Problem, UsageError
from hames.core.events import CallStarted, Entry, FilesRestored, ModelReplied, RestoreStarted, TakenBackBy
from hames.core.ids import CallId
from hames.core.ports import WentBack
from hames.core.text import presentable
from hames.loop.endings import named_jobs
from hames.session.history import course_since, is_unseen
from hames.session.interrupt import uninterrupted
from hames.session.keeping import Keeping
from hames.session.log import SessionLog
from hames.session.points import boundary


class Returner:
    """`GoBack` for one session."""

    def __init__(self, log: SessionLog, view: View, keeper: Keeping, root: str) -> None:
        self._log = log
        self._view = view
        self._keeper = keeper
        self._root = root

    async def to(self, step: int, by: TakenBackBy) -> WentBack:
        from hames.session.restoring import Asked, put_back, take_aim  # noqa: PLC0415 - most runs never go back
        from hames.snapshots.roots import shown_path  # noqa: PLC0415

        if self._view.jobs:
            named = named_jobs(self._view.jobs)
            raise Problem(f"background commands are running: {named}; stop them first, with job(action=stop)")
        entries = await self._log.read()
        through = _end_of(entries, step)
        course = None if is_unseen(entries, through) else course_since(entries, through)
        if course is None:
            raise Problem(f"there is no snapshot of the files from step {step}: nothing was changed")
        try:
            asked = Asked("rewind", through, context=False, by=by)
            aim = await take_aim(self._keeper, self._root, course, asked)
        except UsageError as error:
            raise Problem(str(error)) from error
        payload = (aim.payload,) if aim.payload else ()

        async def work() -> WentBack:
            await self._log.record(*aim.look.events, aim.event, blobs=(*aim.look.blobs, *payload))
            ended = await put_back(self._keeper, self._root, aim.event, aim.trees)
            await self._log.record(*ended.events, blobs=ended.blobs)
            done = ended.done
            return WentBack(
                tuple(presentable(shown_path(path)) for path, _ in done.changed),
                tuple(presentable(shown_path(each.path)) for each in (*done.conflicts, *aim.stays)),
                tuple(presentable(shown_path(failure.path)) for failure in done.failures),
            )

        return await uninterrupted(work)

    async def since(self, call: CallId) -> WentBack | None:
        from hames.snapshots.compare import diff  # noqa: PLC0415 - most runs never go back
        from hames.snapshots.roots import shown_path  # noqa: PLC0415

        began: RestoreStarted | None = None
        found: WentBack | None = None
        for entry in await self._log.read():
            match entry.event:
                case CallStarted() if entry.event.call == call:
                    began = found = None
                case RestoreStarted(by="model") as event:
                    began = event
                case FilesRestored() as ended if began is not None:
                    now, after = await self._keeper.load(began.now), await self._keeper.load(ended.tree)
                    changed = tuple(presentable(shown_path(each.path)) for each in diff(now, after))
                    found = WentBack(changed, ended.kept, ended.failed)
                case _:
                    pass
        return found


def _end_of(entries: Sequence[Entry], step: int) -> int:
    """The last entry of a step of the view, after which nothing was under way. Raises `Problem`."""
    gone = taken_back(entries)
    replies = [
        (entry.seq, entry.event.step)
        for entry in entries
        if isinstance(entry.event, ModelReplied) and entry.seq not in gone
    ]
    known = [number for _, number in replies]
    if step not in known[:-1]:
        earlier = f"{known[0]} to {known[-2]}" if len(known) > 1 else "none"
        raise Problem(f"there is no earlier step {step} (there are {earlier}): nothing was changed")
    following, _ = replies[known.index(step) + 1]
    return boundary(entries, following - 1)
