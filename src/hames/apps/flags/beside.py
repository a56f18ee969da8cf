"""The command lines beside the main job: exec, sessions, export, gc, doctor, models."""

import argparse
import os
from collections.abc import Sequence
from typing import Literal

from hames.apps.flags.parser import Invocation, Parser, Read, add_connection, flags_of, parser_of
from hames.assembly.ask_for import LocalRequest
from hames.core.errors import UsageError

Beside = Literal["exec", "sessions", "export", "gc", "doctor", "models"]


def read_beside(command: Beside, words: Sequence[str]) -> Invocation:
    """Read what follows `command`. Raises `UsageError`; `--help` prints and exits."""
    match command:
        case "exec":
            return _exec(words)
        case "sessions":
            return _sessions(words)
        case "export":
            return _export(words)
        case "gc":
            parser = parser_of("hames gc", "Free the disk of what no session needs.")
            return Invocation("gc", flags_of(parser.parse_args(words, Read())))
        case "doctor":
            return _doctor(words)
        case "models" if words[:1] == ["test"]:
            return _models_test(words[1:])
        case "models" if words[:1] == ["local"]:
            return _models_local(words[1:])
        case "models":
            return _models(words)


def _exec(words: Sequence[str]) -> Invocation:
    if "--" not in words:
        parser = _exec_parser()
        parser.parse_args(words)
        parser.error("the command stands after `--`: hames exec -- CMD...")
    cut = words.index("--")
    command = tuple(words[cut + 1 :])
    if not command:
        raise UsageError("there is no command after `--`: hames exec -- CMD...")
    read = _exec_parser().parse_args(words[:cut], Read())
    return Invocation("exec", flags_of(read), words=command)


def _exec_parser() -> Parser:
    parser = parser_of("hames exec", "Run one command in the sandbox: hames exec [FLAGS] -- CMD...")
    parser.add_argument("--cwd", default=".", metavar="DIR", help="the workspace (default: here)")
    parser.add_argument("--add-dir", action="append", metavar="DIR", help="a further writable directory")
    parser.add_argument("--sandbox", choices=("bubblewrap", "none"), help="`none` switches it off")
    return parser


class _ReadSession(Read):
    session: str = ""
    sessions: list[str] = []
    action: Literal["list", "show", "check", "repair", "delete"] = "list"
    json: bool = False
    whole: bool = False
    format: Literal["events"] = "events"


def _sessions(words: Sequence[str]) -> Invocation:
    parser = parser_of("hames sessions", "The sessions on this machine.")
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="list | show | check | repair | delete", parser_class=Parser
    )
    listing = actions.add_parser("list", help="all of them, the newest first")
    listing.add_argument("--json", action="store_true", help="as JSON lines")
    showing = actions.add_parser("show", help="what happened in one")
    showing.add_argument("session", metavar="ID", help="an id, or its start")
    showing.add_argument("--whole", action="store_true", help="with all that was said and shown")
    for name, about in (
        ("check", "look at every byte; exit 1 if any is damaged"),
        ("repair", "keep all that can be read, and say what cannot"),
    ):
        one = actions.add_parser(name, help=about)
        one.add_argument("session", nargs="?", default="", metavar="ID", help="an id, or its start; else all")
    deleting = actions.add_parser("delete", help="remove sessions, without a question")
    deleting.add_argument("sessions", nargs="+", metavar="ID", help="an id, or its start")
    read = parser.parse_args(words, _ReadSession())
    flags = flags_of(read)
    match read.action:
        case "list":
            return Invocation("sessions list", flags, as_json=read.json)
        case "show":
            return Invocation("sessions show", flags, session=read.session, whole=read.whole)
        case "check":
            return Invocation("sessions check", flags, session=read.session)
        case "repair":
            return Invocation("sessions repair", flags, session=read.session)
        case "delete":
            return Invocation("sessions delete", flags, words=tuple(read.sessions))


def _export(words: Sequence[str]) -> Invocation:
    parser = parser_of("hames export", "Every durable event of a session, as JSON lines.")
    parser.add_argument("session", metavar="ID", help="an id, or its start")
    parser.add_argument("--format", choices=("events",), default="events")
    read = parser.parse_args(words, _ReadSession())
    return Invocation("export", flags_of(read), session=read.session)


class _ReadModels(Read):
    wanted: str = ""
    json: bool = False


def _models(words: Sequence[str]) -> Invocation:
    about = "The models that hames knows. `hames models test` asks one."
    parser = parser_of("hames models", about)
    parser.add_argument(
        "wanted", nargs="?", default="", metavar="WORD", help="only those with it in the name"
    )
    parser.add_argument("--json", action="store_true", help="as JSON lines")
    parser.add_argument("--cwd", default=".", metavar="DIR", help="the workspace (default: here)")
    parser.add_argument("--settings", metavar="FILE", help="a settings file for this run")
    read = parser.parse_args(words, _ReadModels())
    return Invocation("models", flags_of(read), words=(read.wanted,), as_json=read.json)


def _models_test(words: Sequence[str]) -> Invocation:
    parser = parser_of("hames models test", "Make one small request to a model, and say what came of it.")
    parser.add_argument("wanted", nargs="?", default="", metavar="MODEL", help="as with --model")
    add_connection(parser)
    read = parser.parse_args(words, _ReadModels())
    if read.wanted:
        read.model = read.wanted
    return Invocation("models test", flags_of(read))


class _ReadLocal(Read):
    local: bool = False
    gguf: str = ""
    url: str = ""
    port: int = 0


def _doctor(words: Sequence[str]) -> Invocation:
    parser = parser_of("hames doctor", "Check the installation; each line says what to do.")
    add_connection(parser)
    near = parser.add_argument_group("a model on this machine")
    near.add_argument("--local", action="store_true", help="one call of each tool from a model near at hand")
    _add_local(near)
    read = parser.parse_args(words, _ReadLocal())
    if not read.local and (read.gguf or read.url):
        parser.error("--gguf and --url go with --local; for an endpoint of a run there is --base-url")
    return _local("doctor local", read) if read.local else Invocation("doctor", flags_of(read))


def _models_local(words: Sequence[str]) -> Invocation:
    about = "Serve weights on this machine, or look at a server that runs, and say how hames is to use it."
    parser = parser_of("hames models local", about)
    _add_local(parser)
    parser.add_argument("--port", type=int, default=0, help="where to serve (default: a free port)")
    parser.add_argument("--window", type=int, metavar="TOKENS", help="the context window to serve")
    parser.add_argument("--model", metavar="NAME", help="which of those that the server has")
    parser.add_argument("--api-key-env", metavar="NAME", help="the variable that holds the server's key")
    read = parser.parse_args(words, _ReadLocal())
    if not (read.gguf or read.url):
        parser.error("name weights with --gguf FILE, or a server with --url URL")
    return _local("models local", read)


def _add_local(parser: argparse._ActionsContainer) -> None:  # pyright: ignore[reportPrivateUsage] - has no other name
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--gguf", default="", metavar="FILE", help="weights, served by the extra `local`")
    which.add_argument("--url", default="", help="a server: llama.cpp, Ollama, vLLM, ...; ends with /v1")


def _local(command: Literal["doctor local", "models local"], read: _ReadLocal) -> Invocation:
    if read.url:
        read.base_url = read.url
    gguf = os.path.abspath(read.gguf) if read.gguf else ""
    return Invocation(command, flags_of(read), local=LocalRequest(gguf, read.url, read.port))
