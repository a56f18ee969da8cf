"""Steer: what arrived while the turn was running, put before the next request."""

from hames.core.events import UserSpoke
from hames.loop.kit import Kit
from hames.loop.look import with_tree


async def steer(kit: Kit) -> bool:
    """Stage the words that came in and the jobs that ended; whether there was anything."""
    any_news = False
    for words in kit.inbox.take():
        if not kit.view.has_heard(words.dedup):
            kit.journal.stage(UserSpoke(parts=words.parts, source="steer", dedup=words.dedup))
            any_news = True
    if kit.view.jobs:
        ended = await with_tree(kit, await kit.jobs.ended(kit.view.jobs))
        kit.journal.stage(*ended)
        any_news = any_news or bool(ended)
    return any_news
