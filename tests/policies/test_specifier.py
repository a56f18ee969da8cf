"""One rule, read and matched."""

import pytest

from hames.core.errors import ConfigError
from hames.core.ports import Subject
from hames.policies.specifier import Ground, RuleEffect, read_rule

GROUND = Ground("/ws", "/home/u", sandboxed=True, tools=("deploy",))


def matches(text: str, subject: Subject, effect: RuleEffect = "deny") -> bool:
    return read_rule(text, effect, "user", GROUND).matches(subject)


READ = Subject("read", reads=("/ws/secrets/k",))
EDIT = Subject("edit", reads=("/ws/src/a.py",), writes=("/ws/src/a.py",))
PUSH = Subject("bash", command="git push origin")


@pytest.mark.parametrize("effect", ["allow", "ask", "deny"])
@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Bash", PUSH),
        ("bash(*)", PUSH),
        ("Bash(git push:*)", PUSH),
        ("Bash(git push *)", PUSH),
        ("Bash(git push origin)", PUSH),
        ("Read", READ),
        ("Read(./secrets/**)", READ),
        ("Read", Subject("grep", reads=("/ws",))),
        ("Edit(/src/**)", EDIT),
        ("Write(//ws/src/*)", EDIT),
        ("MultiEdit", EDIT),
        ("TodoWrite", Subject("todo_write")),
        ("deploy", Subject("deploy")),
        ("mcp__github", Subject("mcp__github__issue_read")),
        ("mcp__github__*", Subject("mcp__github__issue_read")),
        ("*", PUSH),
        ("WebFetch(domain:Example.com)", Subject("web_fetch", hosts=("example.com.",))),
        ("WebFetch(domain:*.example.com)", Subject("web_fetch", hosts=("a.example.com",))),
    ],
)
def test_a_rule_matches_what_it_names(text: str, subject: Subject, effect: RuleEffect) -> None:
    assert matches(text, subject, effect)


@pytest.mark.parametrize("effect", ["allow", "ask", "deny"])
@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Bash", READ),
        ("Bash(git pull *)", PUSH),
        ("Bash(git push)", PUSH),
        ("Bash(ls *)", READ),
        ("Read", PUSH),
        ("Read(./other/**)", READ),
        ("Edit(./other/**)", EDIT),
        ("Grep", READ),
        ("mcp__git", Subject("mcp__github__issue_read")),
        ("WebFetch(domain:example.com)", Subject("web_fetch", hosts=("example.com.evil.org",))),
        ("WebFetch(domain:example.com)", Subject("web_fetch", hosts=("notexample.com",))),
        ("WebFetch(domain:example.com)", Subject("web_fetch")),
    ],
)
def test_a_rule_is_silent_about_the_rest(text: str, subject: Subject, effect: RuleEffect) -> None:
    assert not matches(text, subject, effect)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Bash(git push *)", Subject("bash", command="cd x && git push")),
        ("Bash(git push *)", Subject("job", command="git push")),
        ("Bash(rm *)", Subject("bash", command="x" * 200_000)),
        ("Read(./secrets/**)", Subject("bash", command="cat secrets/k", reads=("/ws/x", "/ws/secrets/k"))),
        ("Read(./secrets/**)", Subject("write", writes=("/ws/secrets/k",))),
        ("Edit(./src)", EDIT),
        ("Edit(./src/**)", Subject("bash", command="> src/x", writes=("/ws/src/x",))),
        ("WebFetch(domain:example.com)", Subject("web_fetch", hosts=("ok.org", "deep.example.com"))),
        ("WebFetch(domain:example.com)", Subject("bash", command="curl x", hosts=("example.com",))),
    ],
)
def test_deny_is_broad_where_allow_is_narrow(text: str, subject: Subject) -> None:
    assert matches(text, subject, "deny")
    assert matches(text, subject, "ask")
    assert not matches(text, subject, "allow")


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Read(./src/**)", EDIT),
        ("Read(./**)", Subject("read")),
        ("Read(./**)", Subject("read", reads=("/ws/a",), hosts=("example.com",))),
        ("Edit(./src/**)", Subject("edit", reads=("/ws/x",), writes=("/ws/src/a",))),
        ("WebFetch(domain:example.com)", Subject("web_fetch", hosts=("example.com",), writes=("/ws/a",))),
        ("Bash(ls *)", Subject("bash", command="ls; rm x")),
    ],
)
def test_allow_wants_all_of_a_call_covered(text: str, subject: Subject) -> None:
    assert not matches(text, subject, "allow")


@pytest.mark.parametrize(
    ("text", "effect", "words"),
    [
        ("", "deny", "is not a rule"),
        ("(x)", "deny", "is not a rule"),
        ("Bash(git push", "deny", "is not a rule"),
        ("Bash )", "deny", "is not a rule"),
        ("Bash()", "deny", "nothing between the brackets"),
        ("Bsh(git push)", "deny", 'no tool "Bsh"; did you mean "Bash"'),
        ("Qqqqqq", "deny", 'no tool "Qqqqqq"$'),
        ("Bash(git push && ls)", "deny", "shell operators"),
        ("Bash(git commit -m 'x')", "allow", "can never match"),
        ("TodoWrite(x)", "deny", "take no specifier; write TodoWrite"),
        ("WebFetch(domain:)", "deny", "not a host name"),
        ("WebFetch(domain:https://x)", "deny", "not a host name"),
        ("Read(a/../b)", "deny", "in the middle"),
    ],
)
def test_a_rule_that_could_never_match_is_an_error(text: str, effect: RuleEffect, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_rule(text, effect, "user", GROUND)


def test_quotes_in_a_deny_rule_do_not_count() -> None:
    assert matches("Bash('git' \"push\" *)", PUSH)
    assert matches("Bash('')", PUSH)


def test_a_label_names_effect_rule_and_layer() -> None:
    assert read_rule(" Bash(rm *) ", "deny", "project", GROUND).label == "deny Bash(rm *) (project)"
