"""Approve: ask a person about exactly one call."""

from hames.core.events import ApprovalAnswered, ApprovalAsked
from hames.core.ids import CallId
from hames.core.ports import ApprovalAnswer, ApprovalRequest, Prepared, Subject
from hames.loop.kit import Kit


async def approve(kit: Kit, call: CallId, prepared: Prepared, subject: Subject, why: str) -> ApprovalAnswer:
    """The answer, on the log together with the question. The question is durable before it is put."""
    request = ApprovalRequest(call, subject, prepared.arguments, why)
    await kit.journal.record(ApprovalAsked(call=call, subject=describe(subject, prepared.arguments)))
    answer = await kit.approver.ask(request)
    kit.journal.stage(ApprovalAnswered(call=call, allowed=answer.allowed, by=answer.by, words=answer.words))
    return answer


def describe(subject: Subject, arguments: str) -> str:
    """The one thing that is asked about, for a person."""
    if subject.command:
        return f"{subject.tool}: {subject.command}"
    if subject.writes:
        return f"{subject.tool}: write {', '.join(subject.writes)}"
    if subject.hosts:
        return f"{subject.tool}: reach {', '.join(subject.hosts)}"
    return f"{subject.tool}: {arguments}"
