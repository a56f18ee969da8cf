"""Permission modes: what holds where no rule speaks."""

from typing import Literal

from hames.core.errors import ConfigError
from hames.core.events import Effect
from hames.core.nearest import hint
from hames.core.ports import Judgement, Subject
from hames.policies.paths import inside
from hames.policies.specifier import Ground

Mode = Literal["plan", "ask", "accept_edits", "auto"]

MODES: tuple[Mode, ...] = ("plan", "ask", "accept_edits", "auto")
"""From the strictest to the loosest."""

_NAMES: dict[str, Mode] = {
    "plan": "plan",
    "ask": "ask",
    "default": "ask",
    "accept_edits": "accept_edits",
    "acceptEdits": "accept_edits",
    "accept-edits": "accept_edits",
    "auto": "auto",
}
"""Claude Code's names are accepted beside ours."""


def read_mode(name: str) -> Mode:
    """The mode of that name. Raises `ConfigError`."""
    mode = _NAMES.get(name)
    if mode is not None:
        return mode
    if name.casefold() in ("bypasspermissions", "yolo"):
        raise ConfigError(
            f'there is no permission mode "{name}"; use "auto", which runs everything inside the sandbox;'
            " to run without one, say both --permission-mode auto and --sandbox none"
        )
    raise ConfigError(f'there is no permission mode "{name}"{hint(name, _NAMES)} ({", ".join(MODES)})')


def stricter(one: Mode, other: Mode) -> Mode:
    """The stricter of two modes."""
    return one if MODES.index(one) < MODES.index(other) else other


def judge_by_mode(mode: Mode, subject: Subject, effect: Effect, ground: Ground) -> Judgement:
    """The verdict of the mode alone.

    `auto` without a sandbox allows everything: whoever builds the policy has made sure that a person
    asked for both, and has said so aloud.
    """
    rule = f"mode {mode}"
    if mode == "plan" and effect != "pure":
        return Judgement("deny", rule, "in plan mode nothing is changed; only reading is possible")
    refusal = _outside(subject, ground)
    if refusal:
        return Judgement("deny", rule, refusal)
    if mode == "auto" and not ground.sandboxed:
        return Judgement("allow", rule, "there is no sandbox, by the user's own choice")
    doubt = _doubt(mode, subject, effect, ground)
    if doubt:
        return Judgement("ask", rule, doubt)
    return Judgement(passed(ground), rule)


def passed(ground: Ground) -> Literal["allow", "allow_in_sandbox"]:
    """The verdict for a call that may run: inside the sandbox wherever there is one."""
    return "allow_in_sandbox" if ground.sandboxed else "allow"


def _outside(subject: Subject, ground: Ground) -> str:
    """Why the sandbox would refuse a write; empty when it would not."""
    if not ground.sandboxed:
        return ""
    for path in subject.writes:
        if not inside(path, (ground.workspace, *ground.writable)):
            return f"{path} is outside the workspace; a person can add its directory with --add-dir"
        if inside(path, ground.protected):
            return f"{path} is protected: it could make later commands run outside the sandbox"
    return ""


def _doubt(mode: Mode, subject: Subject, effect: Effect, ground: Ground) -> str:
    """Why a person must be asked; empty when the sandbox holds all that the call can do."""
    if subject.hosts:
        return f"it reaches {', '.join(subject.hosts)} over the network"
    if effect == "pure":
        return ""
    if not ground.sandboxed:
        return "there is no sandbox to hold it"
    if mode == "ask":
        return "it may change something"
    if mode == "accept_edits" and (subject.command or not subject.writes):
        return "it is more than an edit of a file in the workspace"
    if effect != "idempotent" and not subject.command and not subject.writes:
        return "what it does cannot be seen from its arguments"
    return ""
