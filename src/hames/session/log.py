"""One session's log, as its owner writes it."""

from collections.abc import Sequence

from hames.context.view import View
from hames.core.errors import StoreFull
from hames.core.events import AnyEvent, Entry
from hames.core.ports import Claim, Clock, Listener, Passing, Store
from hames.session.checkpoints import Checkpointer
from hames.session.interrupt import uninterrupted


class SessionLog:
    """The `Journal` of a session: folds what is staged, commits it, and only then tells.

    An append that fails leaves the view ahead of the log: whoever gets the error must drop both. Only what
    met a full disk is kept: it goes with the next `record`, if there is one.
    """

    def __init__(
        self,
        store: Store,
        claim: Claim,
        view: View,
        clock: Clock,
        listener: Listener,
        checkpointer: Checkpointer | None = None,
    ) -> None:
        self._store = store
        self._checkpointer = checkpointer
        self._claim = claim
        self._view = view
        self._clock = clock
        self._listener = listener
        self._staged: list[AnyEvent] = []
        self._blobs: list[bytes] = []

    @property
    def claim(self) -> Claim:
        """The claim as the last commit has left it."""
        return self._claim

    async def read(self) -> Sequence[Entry]:
        """All that is durable."""
        return await self._store.read(self._claim.session)

    def stage(self, *events: AnyEvent, blobs: Sequence[bytes] = ()) -> None:
        """Fold events into the view; the next `record` makes them durable."""
        at_ms = int(self._clock.now() * 1000)
        for event in events:
            seq = self._view.head + 1
            self._view.fold(Entry(self._claim.session, seq, self._claim.epoch, at_ms, event, ""))
            self._staged.append(event)
        self._blobs.extend(blobs)

    async def record(self, *events: AnyEvent, blobs: Sequence[bytes] = ()) -> None:
        """Make these, and all that is staged, durable in one commit; then tell the listener."""
        self.stage(*events, blobs=blobs)
        await self._commit()

    async def write(self, *events: AnyEvent, blobs: Sequence[bytes] = ()) -> None:
        """As `record`, but these are not folded: the view is not the session's any more."""
        self._staged.extend(events)
        self._blobs.extend(blobs)
        await self._commit()

    async def _commit(self) -> None:
        if not self._staged:
            return
        staged, kept = self._staged, self._blobs
        self._staged, self._blobs = [], []
        try:
            # Cancelled half-way, it would be in the view alone.
            self._claim, entries = await uninterrupted(lambda: self._store.append(self._claim, staged, kept))
        except StoreFull:
            self._staged, self._blobs = staged, kept
            raise
        for entry in entries:
            self._listener.entry(entry)
        if self._checkpointer is not None:
            await self._checkpointer.consider(self._claim, self._view)


class Listeners:
    """Several listeners as one. One that fails is dropped, and never harms the session."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self.failures: list[Exception] = []

    def add(self, listener: Listener) -> None:
        """Tell this one too, from now on."""
        self._listeners.append(listener)

    def entry(self, entry: Entry) -> None:
        """Tell all of a durable event."""
        for listener in tuple(self._listeners):
            try:
                listener.entry(entry)
            except Exception as error:  # noqa: BLE001 - a listener is foreign code
                self._drop(listener, error)

    def delta(self, step: int, delta: Passing) -> None:
        """Tell all of something volatile."""
        for listener in tuple(self._listeners):
            try:
                listener.delta(step, delta)
            except Exception as error:  # noqa: BLE001 - a listener is foreign code
                self._drop(listener, error)

    def _drop(self, listener: Listener, error: Exception) -> None:
        self._listeners.remove(listener)
        self.failures.append(error)
