import pytest

from hames.core.errors import StoreFull
from hames.core.events import NOBODY, ApprovalAnswered, ApprovalAsked, SessionOpened
from hames.core.ids import CallId, SessionId
from hames.core.messages import Text
from hames.core.ports import (
    ApprovalAnswer,
    ApprovalRequest,
    Arrival,
    CallContext,
    Judgement,
    Subject,
    ToolResult,
    Words,
)
from hames.session.approvals import KeptAnswers
from hames.stores.memory import MemoryStore
from hames.testing.clock import VirtualClock
from hames.testing.scripted import Answer, Scripted
from tests.rig import BenchPerson, Rig, asks, ok

pytestmark = pytest.mark.anyio
SESSION = SessionId("01")
GO = [Words((Text("go"),))]
REQUEST = ApprovalRequest(CallId("1.0"), Subject("bash", command="rm x"), "{}", "it removes")


async def opened() -> MemoryStore:
    store = MemoryStore(VirtualClock())
    claim = await store.claim(SESSION)
    await store.append(claim, [SessionOpened(SESSION, 1, "0", "/w")])
    return store


@pytest.mark.parametrize("allowed", [True, False])
async def test_an_answer_that_was_given_is_not_asked_for_again(allowed: bool) -> None:
    answer = ApprovalAnswer(allowed, "terminal", "because")
    store, person = await opened(), BenchPerson(answer)
    assert await KeptAnswers(person, store, SESSION).ask(REQUEST) == answer
    assert await KeptAnswers(BenchPerson(), store, SESSION).ask(REQUEST) == answer
    assert person.asked == [REQUEST]


async def test_where_nobody_can_answer_nothing_is_kept() -> None:
    store = await opened()
    nobody = ApprovalAnswer(False, NOBODY)
    assert await KeptAnswers(BenchPerson(nobody), store, SESSION).ask(REQUEST) == nobody
    assert await store.waiting(SESSION) == []


async def test_an_answer_that_cannot_be_kept_is_not_acted_upon() -> None:
    class Full(MemoryStore):
        async def put(self, session: SessionId, arrival: Arrival) -> bool:
            raise StoreFull("the disk is full")

    with pytest.raises(StoreFull):
        await KeptAnswers(BenchPerson(ApprovalAnswer(True, "terminal")), Full(VirtualClock()), SESSION).ask(
            REQUEST
        )


async def test_a_call_that_was_approved_before_a_kill_runs_without_a_new_question() -> None:
    ran: list[str] = []

    async def act(arguments: str, context: CallContext) -> ToolResult:
        ran.append(arguments)
        return ok("done")

    def rig(person: BenchPerson, *script: Answer) -> Rig:
        made = Rig(*script, tools={"act": ("effectful", act)}, verdicts={"act": Judgement("ask", "test")})
        made.person = person
        return made

    yes = ApprovalAnswer(True, "terminal")
    whole = rig(BenchPerson(yes), asks(("act", "1")), Scripted(text="done"))
    session = await whole.open()
    await session.say(GO)
    events = [entry.event for entry in await whole.store.read(session.id)]
    asked = next(index for index, event in enumerate(events) if isinstance(event, ApprovalAsked))
    cut = rig(BenchPerson(), Scripted(text="done"))
    claim = await cut.store.claim(session.id)
    kept = [event for event in events[: asked + 1] if event is not None]
    await cut.store.append(claim, kept, whole.store.brought)
    request = ApprovalRequest(CallId("1.0"), Subject("act"), "1", "")
    await KeptAnswers(BenchPerson(yes), cut.store, session.id).ask(request)
    ran.clear()
    resumed = await cut.host.resume(session.id)
    await resumed.go_on()
    assert ran == ["1"]
    answered = [event for event in await cut.logged(resumed) if isinstance(event, ApprovalAnswered)]
    assert [(event.allowed, event.by) for event in answered] == [(True, "terminal")]
    assert await cut.store.waiting(session.id) == []
