"""Steer: what arrived while the turn was running, put before the next request."""

from hames.core.events import UserSpoke
from hames.loop.kit import Kit


async def steer(kit: Kit) -> bool:
    """Stage the words that came in and the jobs that ended; whether there was anything."""
    any_news = False
    for words in kit.inbox.take():
        if not kit.view.has_heard(words.dedup):
            kit.journal.stage(UserSpoke(parts=words.parts, source="steer", dedup=words.dedup))
            any_news = True
    if kit.view.jobs:
        for event in await kit.jobs.ended(kit.view.jobs):
            kit.journal.stage(event)
            any_news = True
    return any_news
