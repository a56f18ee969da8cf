"""What maintenance found and did, in lines."""

from collections.abc import Iterator

from hames.channels.listing import size
from hames.core.ports import Checked, Damage, Deleted, Mended, Swept
from hames.core.text import for_terminal


def findings(checked: Checked) -> Iterator[str]:
    """A line for each damage, each loss that is known, and in the end how to go on."""
    for damage in checked.damages:
        yield f"damaged: {_where(damage)}"
    for loss in checked.known:
        yield f"known, from an earlier repair: {_where(loss)}"
    yield from checked.notes
    if checked.damages:
        hurt = {damage.session for damage in checked.damages}
        only = next(iter(hurt)) if len(hurt) == 1 else None
        yield f"to keep all that can be read: hames sessions repair{f' {only}' if only else ''}"
    else:
        yield f"{_count(checked.sessions, 'session')}, no damage"


def mending(mended: Mended) -> Iterator[str]:
    """What a repair has done."""
    if mended.set_aside:
        yield f"the database was damaged; a new one has what could be read, the old one is {mended.set_aside}"
    for damage in mended.damages:
        yield f"repaired: {_where(damage)}"
    if not mended.damages and not mended.set_aside:
        yield "nothing is damaged"


def deletion(deleted: Deleted) -> str:
    """What is gone."""
    title = for_terminal(deleted.title) or "without words"
    events = _count(deleted.events, "event")
    return f"deleted {deleted.session} ({title}): {events}, {size(max(deleted.freed_bytes, 0))} freed"


def sweeping(swept: Swept) -> Iterator[str]:
    """What a sweep has freed."""
    blobs, leftovers = _count(swept.blobs, "payload"), _count(swept.leftovers, "leftover")
    yield f"{size(swept.freed_bytes)} freed: {blobs} that nothing names, {leftovers} of dead processes"
    if swept.waiting:
        yield f"{_count(swept.waiting, 'payload')} kept: a running session may still want them"


def over_quota(used: int, quota: int) -> str:
    """What a person should know when the log takes more than it should."""
    return (
        f"the log takes {size(used)}, more than the disk_quota of {size(quota)}: "
        "`hames gc` frees what is not needed, `hames sessions delete ID` removes a session"
    )


def _where(damage: Damage) -> str:
    what = for_terminal(damage.what)
    return f"session {damage.session}: {what}" if damage.session else what


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
