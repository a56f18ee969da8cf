"""One permission rule: `Tool` or `Tool(specifier)`, read once and matched against subjects.

Allow rules are matched narrowly: everything a call is about must fit. Deny and ask rules are matched
broadly: it is enough that something fits.
"""

from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from hames.core.errors import ConfigError
from hames.core.nearest import hint
from hames.core.ports import Subject
from hames.policies.commands import (
    PLAIN,
    Words,
    broad_words,
    fits_broadly,
    fits_exactly,
    hidden_commands,
    plain_words,
)
from hames.policies.paths import PathPattern, read_pattern

RuleEffect = Literal["allow", "ask", "deny"]
LayerName = Literal["managed", "user", "session", "project"]

READERS = ("read", "grep", "glob", "ls", "notebookread")
WRITERS = ("edit", "write", "multiedit", "notebookedit", "applypatch")
TOOLS = (
    *("Read", "Write", "Edit", "Bash", "Grep", "Glob", "Job", "TodoWrite", "FindTools", "CallTool", "GoBack"),
    *("WebFetch", "WebSearch", "LS", "MultiEdit", "NotebookRead", "NotebookEdit", "ApplyPatch"),
    *("Agent", "Task", "Skill", "AskUserQuestion", "ExitPlanMode"),
)
"""Names that a rule may use: our tools and Claude Code's, so that its rules can be brought along."""


class Ground(msgspec.Struct, frozen=True):
    """Where rules and modes apply. Paths are absolute and resolved.

    `writable` are the roots that may be written beside the workspace, `protected` what may not be
    although it lies below one. `tools` are names of further tools.
    """

    workspace: str
    home: str
    sandboxed: bool
    writable: tuple[str, ...] = ()
    protected: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """A rule, as written and as read. At most one of `path`, `command` and `host` is set."""

    effect: RuleEffect
    layer: LayerName
    text: str
    tool: str
    path: PathPattern | None = None
    command: Words | None = None
    host: str | None = None

    @property
    def label(self) -> str:
        """How the rule is named in the log: effect, text and layer."""
        return f"{self.effect} {self.text} ({self.layer})"

    def matches(self, subject: Subject) -> bool:
        """Whether the rule speaks about `subject`."""
        if self.effect == "allow":
            return _names(self.tool, subject.tool) and self._covers(subject)
        if self.path or self.command or self.host:
            return self._touches(subject)
        return _names(self.tool, subject.tool)

    def _covers(self, subject: Subject) -> bool:
        if self.command is not None:
            words = plain_words(subject.command)
            return words is not None and fits_exactly(self.command, words)
        if self.host is not None:
            hosts = subject.hosts
            return bool(hosts) and not subject.writes and all(_is_host(self.host, host) for host in hosts)
        if self.path is not None:
            return self._covers_paths(self.path, subject)
        return True

    def _covers_paths(self, pattern: PathPattern, subject: Subject) -> bool:
        paths = (*subject.reads, *subject.writes)
        if not paths or subject.command or subject.hosts or (subject.writes and self.tool not in WRITERS):
            return False
        return all(pattern.matches(path, below=False) for path in paths)

    def _touches(self, subject: Subject) -> bool:
        if self.command is not None:
            return bool(subject.command) and _hides(self.command, subject.command)
        if self.host is not None:
            return any(
                _is_host(self.host, host) or _is_host("*." + self.host, host) for host in subject.hosts
            )
        paths = subject.writes if self.tool in WRITERS else (*subject.reads, *subject.writes)
        pattern = self.path
        return pattern is not None and any(pattern.matches(path, below=True) for path in paths)


def read_rule(text: str, effect: RuleEffect, layer: LayerName, ground: Ground) -> Rule:
    """Read one rule. Raises `ConfigError` for what would never match, or would match something else."""
    where = f"permissions.{effect} ({layer})"
    name, bracket, rest = text.strip().partition("(")
    if not name or (bracket and not rest.endswith(")")) or set(name) & set(" \t)\"'"):
        raise ConfigError(
            f'{where}: "{text}" is not a rule; write Tool or Tool(specifier), as in Bash(npm test)'
        )
    tool = _known(name, where, ground)
    specifier = rest[:-1].strip()
    rule = Rule(effect, layer, text.strip(), tool)
    if not bracket or specifier in ("*", ":*", "**"):
        return rule
    if not specifier:
        raise ConfigError(f'{where}: "{text}" has nothing between the brackets; write {name} for all calls')
    if specifier.startswith("domain:"):
        return msgspec.structs.replace(rule, host=_read_host(specifier, where))
    if tool == "bash":
        return msgspec.structs.replace(rule, command=_read_command(specifier, effect, where))
    if tool in READERS or tool in WRITERS:
        pattern = read_pattern(specifier, ground.workspace, ground.home)
        return msgspec.structs.replace(rule, path=pattern)
    raise ConfigError(f'{where}: "{text}": rules for {name} take no specifier; write {name}')


def _known(name: str, where: str, ground: Ground) -> str:
    names = (*TOOLS, *ground.tools)
    folded = _fold(name)
    if "*" in name or folded.startswith("mcp__") or folded in map(_fold, names):
        return folded
    raise ConfigError(f'{where}: there is no tool "{name}"{hint(name, names)}')


def _read_command(specifier: str, effect: RuleEffect, where: str) -> Words:
    text = specifier.removesuffix(":*") + " *" if specifier.endswith(":*") else specifier
    if effect == "allow":
        if not PLAIN.issuperset(text.replace("*", "")):
            raise ConfigError(
                f'{where}: "{specifier}" can never match: only commands of plain words are allowed by a rule'
            )
        return tuple(text.split())
    if set(text) & set(";&|(){}<>`\n\r"):
        raise ConfigError(
            f'{where}: "{specifier}" has shell operators; write a rule for each simple command, as in'
            " Bash(curl *)"
        )
    return broad_words(text) or ("*",)


def _read_host(specifier: str, where: str) -> str:
    host = specifier.removeprefix("domain:").strip().casefold().rstrip(".")
    letters = set(host.removeprefix("*."))
    if not letters or letters & set("*/:@?# \t"):
        raise ConfigError(f'{where}: "{specifier}" is not a host name; write domain:example.com')
    return host


def _is_host(pattern: str, host: str) -> bool:
    host = host.casefold().rstrip(".")
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _hides(pattern: Words, command: str) -> bool:
    hidden = hidden_commands(command)
    return hidden is None or any(fits_broadly(pattern, words) for words in hidden)


def _fold(name: str) -> str:
    """Case does not count, nor do underscores, but for MCP tools, where they part the names."""
    name = name.casefold()
    return name if name.startswith("mcp__") else name.replace("_", "")


def _names(pattern: str, tool: str) -> bool:
    """Whether a rule for `pattern` (folded) is one for `tool`: `Read` and `Edit` mean all that do so."""
    tool = _fold(tool)
    if pattern in ("read", "notebookread"):
        return tool in READERS
    if pattern in WRITERS:
        return tool in WRITERS
    if pattern.startswith("mcp__") and tool.startswith(pattern + "__"):
        return True
    return fnmatchcase(tool, pattern)
