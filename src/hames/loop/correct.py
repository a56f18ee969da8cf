"""Correct: what helps a model out of failures: what has changed since it went well, and a way back."""

from collections.abc import Mapping, Sequence

import anyio
import msgspec

from hames.context.errors_named import read_error
from hames.context.ledger import FAILING, Repeated, tried_in_words
from hames.core.errors import Problem, StoreError
from hames.core.events import CallFinished, Labelled, UserSpoke
from hames.core.limits import FAILURE_NOTE_BYTES
from hames.core.messages import Text, plain
from hames.core.text import clean, clip, listed, one_line, presentable
from hames.loop.kit import Kit

_NAMED = 6
_KIND_CHARS = 80
_TRIED_BYTES = 1000

_CACHES = frozenset(
    (
        *(".git", ".coverage", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".cache"),
        *("node_modules", ".gradle", ".hypothesis", ".tox", ".nox", "tsconfig.tsbuildinfo"),
    )
)
"""Names below which programs keep what is of no interest here."""


async def noted(kit: Kit, command: str, event: CallFinished) -> CallFinished:
    """The end of a command, with what has changed since the same command last went well, where it failed now
    and did go well before."""
    passed = kit.view.ledger.passed.get(command)
    if event.outcome != "failed" or passed is None or not kit.guards.failure_notes:
        return event
    if passed.tree is None or event.tree_after is None:
        return event
    paths: Sequence[str] = ()
    with anyio.CancelScope(shield=True):
        try:
            paths = await kit.trees.changed(passed.tree, event.tree_after)
        except StoreError:
            return event
    changed = [path for path in paths if not _CACHES.intersection(path.rstrip("/").split("/"))]
    if changed:
        named = read_error(plain(event.parts)).places
        note = f"it went well at step {passed.step}; changed since: {_listed(changed, named)}"
    else:
        note = (
            f"it went well at step {passed.step}, and no file has changed since: it may hang on chance, on "
            "time or on something outside"
        )
    note = f"[{clip(clean(presentable(note)), FAILURE_NOTE_BYTES - 2)}]"
    return msgspec.structs.replace(event, parts=(*event.parts, Text(note)))


def _listed(changed: Sequence[str], named: Mapping[str, int]) -> str:
    """The changed files, those first that the error names, with its line."""
    lines = {path: line for name, line in named.items() if (path := _meant(name, changed))}
    shown = [f"{path} (the error names line {line})" for path, line in lines.items()]
    shown += [path for path in changed if path not in lines]
    return listed(shown, _NAMED)


def _meant(name: str, changed: Sequence[str]) -> str:
    """The changed file that an error means by `name`, which it may write as a whole or from where it was run;
    empty for none, or where several could be meant."""
    whole = [path for path in changed if f"/{name}".endswith(f"/{path}")]
    if whole:
        return max(whole, key=len)
    ends = [path for path in changed if path.endswith(f"/{name}")]
    return ends[0] if len(ends) == 1 else ""


async def correct(kit: Kit) -> None:
    """Offer the model a way back where the same thing has failed several times, or take it for it."""
    choice = kit.guards.on_repeated_failure
    repeated = kit.view.ledger.repeated() if choice != "off" and kit.view.tree is not None else None
    if repeated is None:
        return
    evidence, at = _evidence(repeated), _good(repeated)
    label = Labelled(step=kit.view.step, label=FAILING, source="rule", evidence=evidence)
    tried = clip(tried_in_words(repeated.failures), _TRIED_BYTES)
    if choice == "offer":
        way = (
            "To put the files back to how they were then, and try another way, call call_tool with name "
            f'go_back and arguments {{"step": {repeated.good}}}; what you have learnt stays. Or go on, '
            "if you know why it fails."
        )
        kit.journal.stage(label, _said(f"[{evidence}. Tried so far: {tried}. {at} {way}]"))
        return
    way = "The files are put back to how they were then; what you have learnt stays. Try another way."
    kit.journal.stage(label, _said(f"[{evidence}. Tried so far: {tried}. {at} {way}]"))
    try:
        await kit.back.to(repeated.good, "rule")
    except Problem as problem:
        kit.journal.stage(_said(f"[They could not be put back: {problem}]"))


def _evidence(repeated: Repeated) -> str:
    last = repeated.failures[-1]
    error = f": {last.error.line}" if last.error.line else ""
    what = f"{one_line(last.kind, _KIND_CHARS)} has failed {len(repeated.failures)} times in the same way"
    return f"{what}, each time after other changes{error}"


def _good(repeated: Repeated) -> str:
    if repeated.passed:
        return f"`{one_line(repeated.passed, _KIND_CHARS)}` last went well at step {repeated.good}."
    return f"It failed first at step {repeated.good}, before all of these changes."


def _said(words: str) -> UserSpoke:
    return UserSpoke(parts=(Text(words),), source="harness")
