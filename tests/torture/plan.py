"""What the scripted model asks for: steps of one to four calls, each with a fresh nonce.

A step that is asked for again, because its reply was lost, gets the same kinds of calls and new nonces: so no
nonce is ever asked for twice, and each may be found in the world once at most.
"""

from random import Random
from typing import Literal, NamedTuple

import msgspec

from hames.testing.script import ServedCall
from tests.torture.project import harm
from tests.torture.world import FACT, NOTES_END, World

Kind = Literal["append", "fail", "orphan", "harm", "job", "write", "edit", "read", "grep"]

COMMANDS: tuple[Kind, ...] = ("append", "fail", "orphan", "harm")
"""Commands that are waited for; `harm` changes many files of a project. A `job` is one that goes on in the
background."""

STEPS = 4
FINAL = "All of it is done."
FAIL_CODE = 3


class Asked(NamedTuple):
    """A call that the model has asked for."""

    nonce: str
    kind: Kind
    call: ServedCall


class Plan:
    """The replies of one run. `command` is the kind that every step has at least one of: the one that waits
    for the judge when a post is wanted. A turn has `steps` steps."""

    def __init__(
        self, random: Random, token: str, world: World, command: Kind = "append", steps: int = STEPS
    ) -> None:
        self._random = random
        self._token = token
        self._world = world
        self._command_kind: Kind = command
        self._kinds = [self._draw() for _ in range(steps)]
        self.steps = steps
        self.asked: dict[str, Asked] = {}
        self.post_at: int | None = None

    def reply(self, step: int) -> list[Asked]:
        """The calls of a step, from 0. The first command from step `post_at` on gets a post, once."""
        made: list[Asked] = []
        while len(self._kinds) <= step:
            self._kinds.append(self._draw())
        for kind in self._kinds[step]:
            waits = kind in COMMANDS or kind == "job"
            posted = waits and self.post_at is not None and step >= self.post_at
            if posted:
                self.post_at = None
            asked = self._ask(kind, posted=posted)
            self.asked[asked.nonce] = asked
            made.append(asked)
        return made

    def _draw(self) -> list[Kind]:
        count = self._random.choice((1, 2, 2, 3, 3, 4))
        command = self._command_kind
        kinds: list[Kind] = ["append", "fail", "write", "edit", "read", "grep", command]
        drawn: list[Kind] = [command, *self._random.choices(kinds, k=count - 1)]
        self._random.shuffle(drawn)
        return drawn

    def _ask(self, kind: Kind, *, posted: bool) -> Asked:
        name: str
        arguments: dict[str, str | bool]
        nonce = f"{self._token}n{len(self.asked):03}"
        if kind in COMMANDS or kind == "job":
            name, arguments = "bash", {"command": self._command(nonce, kind, posted=posted)}
            if kind == "job":
                arguments["run_in_background"] = True
        else:
            name, arguments = _file_call(kind, nonce)
        return Asked(nonce, kind, ServedCall(name, msgspec.Raw(msgspec.json.encode(arguments)), id=nonce))

    def _command(self, nonce: str, kind: Kind, *, posted: bool) -> str:
        parts = [f"echo '{nonce} start' >> ledger"]
        if kind == "orphan":
            # It leaves the session and keeps the output open; its arguments hold the nonce.
            parts.append(f"(setsid bash -c 'sleep 600; : {nonce}' &)")
        if kind == "harm":
            parts.append(harm(self._random, nonce))
        if posted:
            self._world.post(nonce)
            parts += [f"echo b > .posts/{nonce}.begun", f"read line < .posts/{nonce}.gate"]
        parts.append(f"echo '{nonce} end' >> ledger")
        if posted:
            parts.append(f"echo o > .posts/{nonce}.over")
        parts.append(f"echo 'did {nonce}'")
        if kind == "fail":
            parts.append(f"exit {FAIL_CODE}")
        return "; ".join(parts)


def _file_call(kind: Kind, nonce: str) -> tuple[str, dict[str, str | bool]]:
    match kind:
        case "write":
            return "write", {"file_path": f"made/{nonce}.txt", "content": content_of(nonce)}
        case "edit":
            return "edit", {
                "file_path": "notes.txt",
                "old_string": NOTES_END,
                "new_string": f"{nonce}\n{NOTES_END}",
            }
        case "grep":
            return "grep", {"pattern": FACT, "path": "facts.txt", "output_mode": "content"}
        case _:
            return "read", {"file_path": "facts.txt"}


def content_of(nonce: str) -> str:
    """What a written file holds."""
    return f"written by {nonce}\n"
