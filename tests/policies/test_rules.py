"""Rules over modes, as a policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hames.core.errors import ConfigError
from hames.core.events import Effect
from hames.core.ports import Policy, Subject
from hames.policies.modes import MODES, Mode
from hames.policies.rules import Layer, RulePolicy
from hames.policies.specifier import Ground, LayerName

BOXED = Ground("/ws", "/home/u", sandboxed=True, protected=("/ws/.git/hooks",))
BARE = Ground("/ws", "/home/u", sandboxed=False)
ORDER = ("deny", "ask", "allow_in_sandbox", "allow")
LAYERS: tuple[LayerName, ...] = ("managed", "user", "session", "project")


def verdict(policy: Policy, subject: Subject, effect: Effect = "effectful") -> str:
    return policy.judge(subject, effect).verdict


def bash(command: str) -> Subject:
    return Subject("bash", command=command)


def test_deny_beats_ask_beats_allow_whatever_the_layer() -> None:
    layers = [
        Layer("managed", allow=("Bash",)),
        Layer("user", ask=("Bash(git *)",)),
        Layer("session", deny=("Bash(git push *)",)),
    ]
    policy = RulePolicy("ask", layers, BOXED)
    assert verdict(policy, bash("make")) == "allow_in_sandbox"
    assert verdict(policy, bash("git status")) == "ask"
    assert verdict(policy, bash("git push")) == "deny"


def test_the_judgement_names_the_rule_and_says_why() -> None:
    policy = RulePolicy("auto", [Layer("project", deny=("Bash(rm *)",), ask=("Read",))], BOXED)
    denied = policy.judge(bash("ls; rm x"), "effectful")
    assert (denied.verdict, denied.rule, denied.why) == (
        "deny",
        "deny Bash(rm *) (project)",
        "a rule forbids it",
    )
    asked = policy.judge(Subject("read", reads=("/ws/a",)), "pure")
    assert (asked.verdict, asked.rule, asked.why) == (
        "ask",
        "ask Read (project)",
        "a rule says that a person is asked",
    )


def test_an_allow_rule_answers_a_question_and_lifts_no_denial() -> None:
    rules = [Layer("user", allow=("Bash(make *)", "Write"))]
    outside = Subject("write", writes=("/etc/x",))
    assert verdict(RulePolicy("ask", rules, BOXED), bash("make all")) == "allow_in_sandbox"
    assert verdict(RulePolicy("ask", rules, BARE), bash("make all")) == "allow"
    assert verdict(RulePolicy("ask", rules, BOXED), bash("make all; ls")) == "ask"
    assert verdict(RulePolicy("plan", rules, BOXED), bash("make all")) == "deny"
    assert verdict(RulePolicy("ask", rules, BOXED), outside, "reconcilable") == "deny"


def test_a_project_may_not_allow() -> None:
    with pytest.raises(ConfigError, match=r'only tighten permissions; move the rule "Bash\(make\)"'):
        RulePolicy("ask", [Layer("project", allow=("Bash(make)",))], BOXED)


def test_a_bad_rule_stops_the_start_and_names_its_layer() -> None:
    with pytest.raises(ConfigError, match=r"permissions.deny \(managed\)"):
        RulePolicy("ask", [Layer("managed", deny=("Bsh",))], BOXED)


def test_denied_paths_are_handed_to_the_sandbox() -> None:
    deny = ("Read(./secrets/**)", "Read(.env)", "Read(*.pem)", "Edit(//data/x)", "Bash(rm *)", "Grep")
    confinement = RulePolicy("auto", [Layer("user", deny=deny, ask=("Read(./a)",))], BOXED).confinement()
    assert confinement.masked == ("/ws/secrets", "/ws/.env")
    assert confinement.protected == ("/data/x",)


texts = st.sampled_from(
    [
        *("Bash", "Bash(git *)", "Bash(git push)", "Bash(ls -la)", "Read", "Read(./a/**)", "Edit(/src/**)"),
        *("Write", "WebFetch(domain:x.org)", "mcp__s", "*", "Grep"),
    ]
)
rule_lists = st.lists(texts, max_size=3).map(tuple)
subjects = st.builds(
    Subject,
    tool=st.sampled_from(["bash", "read", "edit", "grep", "web_fetch", "mcp__s__t", "job"]),
    reads=st.lists(st.sampled_from(["/ws/a/b", "/ws/src/x", "/etc/p"]), max_size=2).map(tuple),
    writes=st.lists(st.sampled_from(["/ws/src/x", "/etc/p", "/ws/.git/hooks/h"]), max_size=2).map(tuple),
    command=st.sampled_from(["", "git push", "git status", "ls -la", "ls -la; git push", "echo $(git push)"]),
    hosts=st.lists(st.sampled_from(["x.org", "y.org"]), max_size=1).map(tuple),
)
effects: st.SearchStrategy[Effect] = st.sampled_from(("pure", "idempotent", "reconcilable", "effectful"))
modes: st.SearchStrategy[Mode] = st.sampled_from(MODES)
grounds = st.sampled_from([BOXED, BARE])


def make_layers(draw: st.DrawFn) -> list[Layer]:
    return [
        Layer(
            name,
            allow=() if name == "project" else draw(rule_lists),
            ask=draw(rule_lists),
            deny=draw(rule_lists),
        )
        for name in LAYERS
    ]


layer_lists = st.composite(make_layers)()


@given(layer_lists, subjects, effects, modes, grounds, texts, st.sampled_from(LAYERS), st.booleans())
def test_a_deny_or_ask_rule_in_any_layer_never_loosens(
    layers: list[Layer],
    subject: Subject,
    effect: Effect,
    mode: Mode,
    ground: Ground,
    text: str,
    name: LayerName,
    denies: bool,
) -> None:
    added = Layer(name, deny=(text,)) if denies else Layer(name, ask=(text,))
    before = verdict(RulePolicy(mode, layers, ground), subject, effect)
    after = verdict(RulePolicy(mode, [*layers, added], ground), subject, effect)
    assert ORDER.index(after) <= ORDER.index(before)


@given(layer_lists, subjects, effects, modes, grounds, texts)
def test_an_allow_rule_never_loosens_what_another_rule_or_the_mode_denies(
    layers: list[Layer], subject: Subject, effect: Effect, mode: Mode, ground: Ground, text: str
) -> None:
    before = RulePolicy(mode, layers, ground).judge(subject, effect)
    after = RulePolicy(mode, [*layers, Layer("session", allow=(text,))], ground).judge(subject, effect)
    if before.verdict == "deny" or not before.rule.startswith("mode"):
        assert after.verdict == before.verdict


@given(layer_lists, layer_lists, subjects, effects, modes, grounds)
def test_the_order_of_layers_and_rules_does_not_count(
    layers: list[Layer], more: list[Layer], subject: Subject, effect: Effect, mode: Mode, ground: Ground
) -> None:
    turned = [
        Layer(layer.name, allow=layer.allow[::-1], ask=layer.ask[::-1], deny=layer.deny[::-1])
        for layer in (*more, *layers)
    ]
    one = verdict(RulePolicy(mode, [*layers, *more], ground), subject, effect)
    other = verdict(RulePolicy(mode, turned[::-1], ground), subject, effect)
    assert one == other


@given(layer_lists, subjects, effects, modes)
def test_a_stricter_mode_is_never_looser(
    layers: list[Layer], subject: Subject, effect: Effect, mode: Mode
) -> None:
    verdicts = [verdict(RulePolicy(each, layers, BOXED), subject, effect) for each in MODES]
    order = [ORDER.index(each) for each in verdicts]
    place = MODES.index(mode)
    assert all(strict <= order[place] for strict in order[:place])
