"""The policy: permission rules over a permission mode.

Deny beats ask beats allow, whatever the order of the rules and whatever the layer. So a lower layer can
tighten what a higher one says and never loosen it; a project's allow rules are refused altogether.
An allow rule answers a question that the mode would ask; it does not lift what the mode denies.

Pure: paths are compared as they stand, after `..` is resolved. Links are resolved by whoever builds the
subject; the sandbox holds whatever was overlooked here. A search from above a denied path is not denied:
`confinement` gives the paths that the sandbox is to hide for that.
"""

from collections.abc import Sequence

import msgspec

from hames.core.errors import ConfigError
from hames.core.events import Effect
from hames.core.ports import Judgement, Subject
from hames.policies.modes import Mode, judge_by_mode, passed
from hames.policies.specifier import WRITERS, Ground, LayerName, Rule, RuleEffect, read_rule


class Layer(msgspec.Struct, frozen=True):
    """The rules of one source, as written."""

    name: LayerName
    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


class Confinement(msgspec.Struct, frozen=True):
    """Paths of deny rules that the sandbox can enforce: `masked` hidden, `protected` read-only."""

    masked: tuple[str, ...]
    protected: tuple[str, ...]


class RulePolicy:
    """A `Policy` of a mode and layers of rules."""

    def __init__(self, mode: Mode, layers: Sequence[Layer], ground: Ground) -> None:
        """Read all rules. Raises `ConfigError`, naming the rule and its layer."""
        self._mode: Mode = mode
        self._ground = ground
        for layer in layers:
            if layer.name == "project" and layer.allow:
                raise ConfigError(
                    "permissions.allow (project): a project may only tighten permissions; move the rule"
                    f' "{layer.allow[0]}" to your own settings'
                )
        self._deny = self._read(layers, "deny")
        self._ask = self._read(layers, "ask")
        self._allow = self._read(layers, "allow")

    def _read(self, layers: Sequence[Layer], effect: RuleEffect) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        for layer in layers:
            texts = {"deny": layer.deny, "ask": layer.ask, "allow": layer.allow}[effect]
            rules.extend(read_rule(text, effect, layer.name, self._ground) for text in texts)
        return tuple(rules)

    def judge(self, subject: Subject, effect: Effect) -> Judgement:
        """The verdict on a call. Never fails."""
        denied = _first(self._deny, subject)
        if denied:
            return Judgement("deny", denied.label, "a rule forbids it")
        base = judge_by_mode(self._mode, subject, effect, self._ground)
        if base.verdict == "deny":
            return base
        asked = _first(self._ask, subject)
        if asked:
            return Judgement("ask", asked.label, "a rule says that a person is asked")
        if base.verdict == "ask":
            allowed = _first(self._allow, subject)
            if allowed:
                return Judgement(passed(self._ground), allowed.label)
        return base

    def confinement(self) -> Confinement:
        """What the deny rules ask of the sandbox: those with a plain path, or one ending in `/**`."""
        masked: list[str] = []
        protected: list[str] = []
        for rule in self._deny:
            path = rule.path.literal() if rule.path else None
            if path is not None:
                (protected if rule.tool in WRITERS else masked).append(path)
        return Confinement(tuple(masked), tuple(protected))


def _first(rules: tuple[Rule, ...], subject: Subject) -> Rule | None:
    return next((rule for rule in rules if rule.matches(subject)), None)
