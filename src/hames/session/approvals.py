"""Answers of people, kept before they are acted upon."""

import msgspec

from hames.core.events import NOBODY
from hames.core.ids import SessionId
from hames.core.ports import ApprovalAnswer, ApprovalRequest, Approver, Arrival, Arrivals, answer_key

APPROVAL = "approval"
"""The kind of an `Arrival` that holds the answer to the question about one call."""


class KeptAnswers:
    """The `Approver` port over another one: an answer that was given is not asked for again, also if
    hames was killed before it was on the log."""

    def __init__(self, approver: Approver, arrivals: Arrivals, session: SessionId) -> None:
        self._approver = approver
        self._arrivals = arrivals
        self._session = session

    async def ask(self, request: ApprovalRequest) -> ApprovalAnswer:
        """See `Approver`. Raises `StoreError` when the answer cannot be kept."""
        key = answer_key(request.call)
        kept = {arrival.dedup: arrival.data for arrival in await self._arrivals.waiting(self._session)}
        if key in kept:
            return msgspec.json.decode(kept[key], type=ApprovalAnswer)
        answer = await self._approver.ask(request)
        if answer.by != NOBODY:
            await self._arrivals.put(self._session, Arrival(APPROVAL, msgspec.json.encode(answer), key))
        return answer
