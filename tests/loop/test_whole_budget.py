from functools import partial

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from hames.context.lasting import Totals
from hames.context.view import View, fold
from hames.core.errors import FailureKind, ModelError, OverLimit
from hames.core.events import (
    AnyEvent,
    ChildReported,
    Cost,
    Entry,
    ModelFailed,
    ModelReplied,
    RequestSent,
    TurnStarted,
    Usage,
)
from hames.core.ids import BlobId, SessionId
from hames.core.messages import AssistantMessage
from hames.core.ports import Alive, AskOptions, Claim, Reply, TextDelta
from hames.core.profiles import ModelFacts, PeakHours, Price
from hames.loop.asking import Asking
from hames.loop.kit import Kit, TurnLimits
from hames.loop.purse import Most, Purse
from hames.loop.reserve import Heard, bill, cost_of_failure, most_of, within_budget
from hames.models.cost import nano_usd
from hames.session.inbox import SessionInbox
from hames.session.keeping import NoTrees
from hames.session.log import SessionLog
from hames.session.returning import Returner
from hames.testing.clock import VirtualClock
from tests.context.test_view import OPENED, PINNED
from tests.rig import PROFILE, Rig

BLOB = BlobId("b" * 64)
MIDNIGHT = 1_750_032_000.0
HOUR_S = 3600


class Hand(VirtualClock):
    """A clock that is set by hand."""

    at = 0.0

    def now(self) -> float:
        return MIDNIGHT + self.at

    def elapsed(self) -> float:
        return self.at


class Provider:
    """What a model costs, and what has truly been charged for it: nobody else knows that."""

    def __init__(self, facts: ModelFacts, peak: PeakHours | None, clock: Hand) -> None:
        self.clock = clock
        self.facts = facts
        self.provider = msgspec.structs.replace(PROFILE.provider, peak=peak)
        self.charged = 0
        self.tokens = 0
        rig = Rig()
        rig.clock = clock
        rig.price = partial(nano_usd, self.provider, facts)
        self.rig = rig

    def charge(self, usage: Usage) -> None:
        self.charged += nano_usd(self.provider, self.facts, usage, self.clock.now()) or 0
        self.tokens += usage.input + usage.output


class Worker:
    """A session of the tree: its log, its purse, and the request that is under way."""

    def __init__(self, number: int, provider: Provider, most: Most, above: "Worker | None" = None) -> None:
        self.id = SessionId(f"{number:026}")
        self.above = above
        self.log: list[Entry] = []
        self.view = View()
        self.sent: RequestSent | None = None
        self.below: list[Worker] = []
        self.provider = provider
        self.most = most
        self.purse: Purse = above.purse.child(most, self.spent) if above else Purse(most, self.spent)
        for event in (OPENED, PINNED, TurnStarted(turn=1)):
            self.add(event)

    def spent(self) -> Totals:
        return self.view.spent

    def add(self, event: AnyEvent) -> None:
        self.log.append(Entry(self.id, len(self.log) + 1, 1, 0, event, ""))
        self.view.fold(self.log[-1])

    @property
    def kit(self) -> Kit:
        """What the loop works with, over this session's view and purse."""
        rig = self.provider.rig
        profile = msgspec.structs.replace(rig.profile, facts=self.provider.facts)
        log, trees = (
            SessionLog(rig.store, Claim(self.id, 1, 0), self.view, rig.clock, rig.listener),
            NoTrees(),
        )
        return Kit(
            journal=log,
            view=self.view,
            asking=Asking([rig.answerer(rig.model, profile)]),
            blobs=rig.store,
            tools=rig.tools,
            policy=rig.policy,
            approver=rig.person,
            inbox=SessionInbox(),
            jobs=rig.jobs,
            checker=rig.checker,
            trees=trees,
            back=Returner(log, self.view, trees, rig.workspace),
            listener=rig.listener,
            clock=rig.clock,
            chance=rig.chance,
            limits=TurnLimits(max_nano_usd=self.most.nano_usd, max_tokens=self.most.tokens),
            purse=self.purse,
        )

    def ask(self, size: int) -> None:
        """Send a request, if what is left pays for it."""
        try:
            options = within_budget(self.kit, AskOptions(), size)
        except OverLimit:
            return
        most = most_of(self.kit, options, size)
        assert self.purse.fits(most)
        self.sent = RequestSent(
            step=self.view.step + 1,
            attempt=1,
            segment=1,
            head=BLOB,
            added=(),
            tail=BLOB,
            sha256="",
            size=size,
            most=most,
        )
        self.add(self.sent)

    def reply(self, used: Usage, *, counted: bool) -> None:
        """A whole reply that has truly used so much; the provider may not say so."""
        assert self.sent is not None
        self.provider.charge(used)
        message = AssistantMessage("x" * used.output)
        reply = Reply(message, "stop", "m", used if counted else Usage(), b"", 0.0)
        cost = bill(self.kit, reply)
        self.sent = None
        self.add(
            ModelReplied(
                step=self.view.step,
                attempt=1,
                message=message,
                finish="stop",
                model="m",
                raw=BLOB,
                usage=cost.cost.usage,
                nano_usd=cost.cost.nano_usd,
                estimated=cost.estimated,
            )
        )

    def fail(self, used: Usage, kind: FailureKind, heard: Heard) -> None:
        """An attempt that comes to nothing, and has truly used so much if the server has made anything."""
        assert self.sent is not None
        assert self.sent.most is not None
        cost = cost_of_failure(ModelError(kind, ""), heard, self.sent.most)
        if heard.said or kind in ("cut", "stalled", "empty") or (heard.any_came and kind == "transport"):
            self.provider.charge(used)
        self.sent = None
        self.add(ModelFailed(step=self.view.step, attempt=1, kind=kind, message="", cost=cost))

    def resume(self) -> None:
        """The process was killed, and another one folds the log."""
        self.sent = None
        self.view = fold(self.log)

    def all_below(self) -> "list[Worker]":
        return [each for child in self.below for each in (*child.all_below(), child)]

    def end(self) -> None:
        """The session and its children are over, or dead: whoever is above folds their logs."""
        assert self.above is not None
        for worker in (*self.all_below(), self):
            cost = fold(worker.log).spent.cost
            self.above.add(ChildReported(child=worker.id, ending="failed", parts=(), cost=cost))
        self.above.below.remove(self)
        self.purse.close()


def used_of(most: Cost, shares: tuple[float, float, float]) -> Usage:
    """Some of what may be used at most."""
    tokens = int(most.usage.input * shares[0])
    return Usage(tokens, int(tokens * shares[1]), int(most.usage.output * shares[2]))


dollars = st.floats(0, 50).map(lambda price: round(price, 3))
prices = st.builds(Price, hit=dollars, miss=dollars, output=dollars)
peaks = st.builds(
    PeakHours,
    days=st.just(tuple(range(7))),
    hours=st.tuples(st.tuples(st.integers(0, 23), st.integers(1, 24))),
    factor=st.floats(0.5, 3),
)
share = st.floats(0, 1)
bounds = st.builds(Most, st.none() | st.integers(0, 10**9), st.none() | st.integers(0, 300_000))
deeds = st.tuples(
    st.sampled_from(
        ["ask", "ask", "ask", "reply", "reply", "fail", "spawn", "spawn", "end", "resume", "later"]
    ),
    st.integers(0, 50),
    st.tuples(share, share, share),
    st.sampled_from(["cut", "stalled", "rate", "transport", "overload", "empty"]),
    bounds,
)


@st.composite
def worlds(draw: st.DrawFn) -> Provider:
    price = draw(prices)
    dearer = Price(hit=price.hit * 2, miss=price.miss * 2, output=price.output * 2)
    facts = ModelFacts(
        window=10**6,
        max_output=draw(st.sampled_from([500, 8000, 64_000])),
        price=price,
        long_input=2000,
        long_price=draw(st.sampled_from([None, dearer])),
    )
    clock = Hand()
    clock.at = draw(st.integers(0, 86_400))
    return Provider(facts, draw(st.none() | peaks), clock)


Deed = tuple[str, int, tuple[float, float, float], FailureKind, Most]


@settings(max_examples=200, deadline=None)
@given(worlds(), bounds, st.lists(deeds, min_size=10, max_size=60))
def test_children_retries_and_kills_never_push_the_whole_over_its_budget(
    provider: Provider, most: Most, plan: list[Deed]
) -> None:
    root = Worker(0, provider, most)
    for number, deed in enumerate(plan, 1):
        workers = (root, *root.all_below())
        do(workers[deed[1] % len(workers)], deed, number, HOUR_S / len(plan))
        for worker in (root, *root.all_below()):
            used = worker.purse.used()
            tokens = used.usage.input + used.usage.output
            assert worker.most.nano_usd is None or (used.nano_usd or 0) <= worker.most.nano_usd
            assert worker.most.tokens is None or tokens <= worker.most.tokens
        used = root.purse.used()
        assert provider.charged <= (used.nano_usd or 0)
        assert provider.tokens <= used.usage.input + used.usage.output


def do(worker: Worker, deed: Deed, number: int, most_s: float) -> None:
    what, place, shares, kind, bound = deed
    sent = worker.sent
    if what == "later":
        worker.provider.clock.at += most_s * shares[0]
    elif what == "spawn":
        worker.below.append(Worker(number, worker.provider, bound, worker))
    elif what == "ask" and sent is None:
        worker.ask(100 + place * 200)
    elif what in ("end", "resume"):
        end(worker, shares, dies=what == "end")
    elif sent is not None and sent.most is not None:
        used = used_of(sent.most, shares)
        heard = Heard()
        for item in (Alive(queued=False), TextDelta("x"))[: place % 3]:
            heard.take(item)
        if what == "reply":
            worker.reply(used, counted=place % 4 > 0 and used.input > 0)
        elif what == "fail":
            worker.fail(used, kind, heard)


def end(worker: Worker, shares: tuple[float, float, float], *, dies: bool) -> None:
    """A session is killed in whatever it does: what was under way may have been charged."""
    dead = (*worker.all_below(), worker) if dies and worker.above else (worker,)
    for each in dead:
        if each.sent is not None and each.sent.most is not None:
            each.provider.charge(used_of(each.sent.most, shares))
            each.sent = None
    if len(dead) > 1 or (dies and worker.above):
        worker.end()
    else:
        worker.resume()
