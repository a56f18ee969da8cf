"""The host: opens sessions, new ones and those that are on the log already."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import anyio
import msgspec

from hames.context.prompt import SYSTEM
from hames.context.view import View, fold
from hames.core.errors import DamagedLog, SessionMissing
from hames.core.events import Entry, RestoreStarted, SessionOpened, SettingsPinned, UserSpoke
from hames.core.ids import SessionId, blob_id, session_id
from hames.core.limits import CHECKPOINT_ENTRIES, LOG_FORMAT
from hames.core.messages import Text
from hames.core.ports import (
    Approver,
    Arrivals,
    Blobs,
    Chance,
    Checker,
    Checkpoints,
    Claim,
    Clock,
    Jobs,
    Listener,
    Pinned,
    Policy,
    Runtime,
    Store,
    Tools,
)
from hames.loop.asking import Answerer, Asking
from hames.loop.kit import Guards, Kit, TurnLimits
from hames.loop.purse import Most, Purse
from hames.session.approvals import KeptAnswers
from hames.session.checkpoints import Checkpointer, recalled
from hames.session.inbox import SessionInbox, words_among
from hames.session.interrupt import uninterrupted
from hames.session.keeping import Keeping
from hames.session.log import Listeners, SessionLog
from hames.session.resume import cut_short, prefix_of
from hames.session.returning import Returner
from hames.session.session import Session


class Place(msgspec.Struct, frozen=True):
    """Where a session works and under which rules. `note` is what the model is told of it first."""

    workspace: str
    note: str
    sandbox: str
    mode: str
    version: str


class HostParts(msgspec.Struct, frozen=True):
    """What the host opens sessions with. `answerers` may be asked in this order of preference."""

    store: Store
    checkpoints: Checkpoints
    blobs: Blobs
    arrivals: Arrivals
    answerers: Sequence[Answerer]
    tools: Tools
    policy: Policy
    approver: Approver
    jobs: Jobs
    checker: Checker
    trees: Callable[[View], Keeping]
    runtime: Runtime
    listener: Listener
    clock: Clock
    chance: Chance
    limits: TurnLimits
    guards: Guards
    place: Place
    checkpoint_entries: int = CHECKPOINT_ENTRIES


class Held(msgspec.Struct, frozen=True):
    """A session that is ours for a while, and in which no turn runs: what is on its log, and what works with
    it. `root` is its workspace, `made_good` a restore that somebody had begun and that was finished first."""

    session: SessionId
    entries: Sequence[Entry]
    log: SessionLog
    kit: Kit
    keeper: Keeping
    root: str
    made_good: RestoreStarted | None = None


class Entered(NamedTuple):
    """A session that was claimed, what is on its log, and the restore that was made good."""

    claim: Claim
    entries: Sequence[Entry]
    made_good: RestoreStarted | None


class Branch(msgspec.Struct, frozen=True):
    """A session that is being made of another one: its log, and its first event."""

    log: SessionLog
    opened: SessionOpened


class Host:
    """Opens sessions."""

    def __init__(self, parts: HostParts) -> None:
        self._parts = parts

    async def open(self, session: SessionId | None = None) -> Session:
        """A new session. Nothing is on disk before its first words are.

        Raises `SessionBusy` when `session` is in use.
        """
        parts = self._parts
        session = session or self._new_id()
        claim = await parts.store.claim(session)
        await parts.runtime.enter(claim)
        view = View()
        log = self._log(claim, view)
        place = parts.place
        log.stage(self._opened(session))
        asking = Asking(parts.answerers)
        self._pin(log, asking, segment=1)
        log.stage(UserSpoke(parts=(Text(place.note),), source="context"))
        return self._session(claim, log, view, asking)

    async def resume(self, session: SessionId, *, take_over: bool = False) -> Session:
        """A session from the log, as it was left. Raises `SessionMissing` and `SessionBusy`: with `take_over`
        an owner that lives is cut off instead, and its commands go on as ours.

        Its next request extends its last one byte for byte, whatever version of hames wrote that, unless
        another provider or model is asked now, or over another wire.
        """
        parts = self._parts
        claim = await parts.store.claim(session, take_over=take_over)
        claim, view = await self._recall(claim)
        log = self._log(claim, view)
        asking = Asking(parts.answerers)
        if view.opened is None:
            log.stage(self._opened(session))
        was = view.pinned
        if was is None or not await self._take_up(was, asking, view):
            self._pin(log, asking, segment=view.segments + 1)
        elif (was.sandbox, was.mode) != (parts.place.sandbox, parts.place.mode):
            log.stage(msgspec.structs.replace(was, sandbox=parts.place.sandbox, mode=parts.place.mode))
        resumed = self._session(claim, log, view, asking)
        for words in words_among(await parts.arrivals.waiting(session)):
            if not view.has_heard(words.dedup):
                resumed.inbox.put(words)
        return resumed

    async def _recall(self, claim: Claim) -> tuple[Claim, View]:
        """The view of a session, without reading all of a long log where that can be."""
        await self._parts.runtime.enter(claim)
        view = await recalled(self._parts.store, self._parts.checkpoints, claim.session)
        if view is not None:
            return claim, view
        entered = await self._enter(claim)
        return entered.claim, fold(entered.entries)

    async def _enter(self, claim: Claim) -> Entered:
        """Come to what is on the log. A restore that somebody had left in its midst is finished first."""
        parts = self._parts
        entries = await parts.store.read(claim.session)
        if not entries:
            raise SessionMissing(f"there is no session {claim.session}")
        restore = cut_short(entries)
        if restore is None:
            return Entered(claim, entries, None)
        view = fold(entries)
        log = SessionLog(parts.store, claim, view, parts.clock, parts.listener)
        keeper = parts.trees(view)
        root = self._root(view)
        from hames.session.restoring import put_back_again  # noqa: PLC0415 - most starts never need it

        async def work() -> None:
            ended = await put_back_again(keeper, root, restore, entries)
            await log.write(*ended.events, blobs=ended.blobs)

        try:
            await uninterrupted(work)
        finally:
            keeper.close()
        return Entered(log.claim, await parts.store.read(claim.session), restore)

    @asynccontextmanager
    async def hold(self, session: SessionId) -> AsyncGenerator[Held]:
        """A session to go back in, let go of at the end. Raises `SessionMissing` and `SessionBusy`."""
        parts = self._parts
        own = await parts.store.claim(session)
        try:
            await parts.runtime.enter(own)
            claim, entries, made_good = await self._enter(own)
            view = fold(entries)
            log = SessionLog(parts.store, claim, view, parts.clock, parts.listener)
            keeper = parts.trees(view)
            kit = self._kit(session, log, view, keeper, Asking(parts.answerers), SessionInbox())
            try:
                yield Held(session, entries, log, kit, keeper, self._root(view), made_good)
            finally:
                keeper.close()
        finally:
            with anyio.CancelScope(shield=True):
                await parts.store.release(own)

    @asynccontextmanager
    async def branch(self, held: Held, workspace: str) -> AsyncGenerator[Branch]:
        """A new session that is to begin as `held` has; let go of at the end. Nothing is on the log yet."""
        parts = self._parts
        claim = await parts.store.claim(self._new_id())
        try:
            opened = self._opened(claim.session)
            opened = msgspec.structs.replace(opened, workspace=workspace, parent=held.session)
            yield Branch(SessionLog(parts.store, claim, View(), parts.clock, Listeners()), opened)
        finally:
            with anyio.CancelScope(shield=True):
                await parts.store.release(claim)

    def _root(self, view: View) -> str:
        return view.opened.workspace if view.opened is not None else self._parts.place.workspace

    def _log(self, claim: Claim, view: View) -> SessionLog:
        parts = self._parts
        checkpointer = Checkpointer(parts.checkpoints, parts.checkpoint_entries, view.head)
        return SessionLog(parts.store, claim, view, parts.clock, parts.listener, checkpointer)

    async def _take_up(self, was: SettingsPinned, asking: Asking, view: View) -> bool:
        """Go on from the last request; false when who was asked may not be any more, or when a repair has
        said that what the request was made of is gone."""
        at = asking.place_of(was)
        if at is None:
            return False
        blobs = self._parts.blobs
        try:
            system = (await blobs.get(was.system)).decode()
            tools = await blobs.get(was.tools)
            pinned = Pinned(model=was.model, system=system, tools=msgspec.Raw(tools))
            asking.take_up(at, was, pinned)
            if view.last_request is not None:
                head, pieces = await prefix_of(view.last_request, blobs)
                asking.assembler.restore(head, pieces, view.last_request.seq)
        except DamagedLog:
            if not view.repaired:
                raise
            return False
        return True

    def _opened(self, session: SessionId) -> SessionOpened:
        place = self._parts.place
        return SessionOpened(
            session=session, format=LOG_FORMAT, hames=place.version, workspace=place.workspace
        )

    def _pin(self, log: SessionLog, asking: Asking, segment: int) -> None:
        parts = self._parts
        tools = msgspec.json.encode(parts.tools.specs())
        system = SYSTEM.encode()
        asking.turn_to(0)
        profile = asking.answerer.profile
        log.stage(
            SettingsPinned(
                segment=segment,
                model=profile.model,
                provider=profile.provider.name,
                wire=profile.form,
                system=blob_id(system),
                tools=blob_id(tools),
                sandbox=parts.place.sandbox,
                mode=parts.place.mode,
            ),
            blobs=(system, tools),
        )
        asking.begin(Pinned(model=profile.model, system=SYSTEM, tools=msgspec.Raw(tools)))

    def _new_id(self) -> SessionId:
        return session_id(int(self._parts.clock.now() * 1000), self._parts.chance.bits(80))

    def _session(self, claim: Claim, log: SessionLog, view: View, asking: Asking) -> Session:
        parts = self._parts
        inbox = SessionInbox()
        kit = self._kit(claim.session, log, view, parts.trees(view), asking, inbox)
        return Session(claim.session, kit, inbox, parts.arrivals)

    def _kit(
        self,
        session: SessionId,
        log: SessionLog,
        view: View,
        trees: Keeping,
        asking: Asking,
        inbox: SessionInbox,
    ) -> Kit:
        parts = self._parts
        return Kit(
            journal=log,
            view=view,
            asking=asking,
            blobs=parts.blobs,
            tools=parts.tools,
            policy=parts.policy,
            approver=KeptAnswers(parts.approver, parts.arrivals, session),
            inbox=inbox,
            jobs=parts.jobs,
            checker=parts.checker,
            trees=trees,
            back=Returner(log, view, trees, self._root(view)),
            listener=parts.listener,
            clock=parts.clock,
            chance=parts.chance,
            limits=parts.limits,
            guards=parts.guards,
            purse=Purse(Most(parts.limits.max_nano_usd, parts.limits.max_tokens), lambda: view.spent),
        )
