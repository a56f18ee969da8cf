"""The command line, read: flags as Claude Code has them, where it has them."""

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Literal, Never, get_args

import msgspec

from hames.assembly.ask_for import BackRequest, RunRequest
from hames.assembly.settings import Flags
from hames.assembly.settings_file import Choices, Permissions
from hames.channels.headless import OutputFormat
from hames.core.errors import UsageError
from hames.core.events import TakenBack
from hames.core.ids import is_session_id
from hames.core.nearest import hint
from hames.core.profiles import WireName

Command = Literal[
    "run",
    "talk",
    "exec",
    "back",
    "sessions list",
    "sessions show",
    "sessions check",
    "sessions repair",
    "sessions delete",
    "export",
    "gc",
    "doctor",
    "version",
]

EPILOG = """\
commands:
  hames                         talk, line by line
  hames -p PROMPT               do one task and exit; exit codes: docs/exit-codes.md
  hames exec -- CMD...          run one command in the sandbox
  hames undo | redo             take back what the last turn did, files and words; and that again
  hames rewind ID@SEQ           go back to any entry; `hames fork ID@SEQ` does it in a new session
  hames sessions list           the sessions on this machine
  hames sessions show ID        what happened in one
  hames sessions check          look for damage; `repair` mends it, `delete ID` removes a session
  hames gc                      free what no session needs
  hames export ID               every event of one, as JSON lines
  hames doctor                  check the installation
  hames demo                    see it repair a small project
"""


class Invocation(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    command: Command
    flags: Flags
    run: RunRequest = RunRequest()
    back: BackRequest | None = None
    words: tuple[str, ...] = ()
    session: str = ""
    as_json: bool = False
    whole: bool = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Never:
        """Told like every other failure."""
        unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0].partition("=")[0]
        meant = hint(unknown, self._option_string_actions) if unknown.startswith("--") else ""
        where = f"`{self.prog} --help`" if self.add_help else "/help"
        raise UsageError(f"{message}{meant} (see {where})")


def parse(words: Sequence[str]) -> Invocation:
    """Read the command line. Raises `UsageError`; `--help` prints and exits."""
    first = words[0] if words else ""
    match first:
        case "exec":
            return _exec(words[1:])
        case "undo" | "redo" | "rewind" | "fork":
            return _back(first, words[1:])
        case "sessions":
            return _sessions(words[1:])
        case "export":
            return _export(words[1:])
        case "gc":
            parser = _parser("hames gc", "Free the disk of what no session needs.")
            return Invocation("gc", _flags(parser.parse_args(words[1:], _Read())))
        case "doctor":
            parser = _parser("hames doctor", "Check the installation; each line says what to do.")
            _add_connection(parser)
            return Invocation("doctor", _flags(parser.parse_args(words[1:], _Read())))
        case _:
            return _run(words)


def parse_typed(what: TakenBack, words: Sequence[str]) -> BackRequest:
    """Read what follows `/undo`, `/redo` or `/rewind`, typed in a conversation. Raises `UsageError`."""
    parser = _Parser(prog=f"/{what}", allow_abbrev=False, add_help=False)
    if what == "rewind":
        parser.add_argument("seq", type=int, metavar="SEQ")
    _add_back(parser)
    read = parser.parse_args(words, _ReadBack())
    return _back_request(what, read, "", read.seq)


def _parser(program: str, about: str, epilog: str = "") -> _Parser:
    return _Parser(
        prog=program,
        description=about,
        epilog=epilog,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_connection(parser: argparse.ArgumentParser) -> None:
    model = parser.add_argument_group("the model")
    model.add_argument("--model", metavar="PROVIDER/MODEL", help="for example deepseek/deepseek-flash")
    model.add_argument("--base-url", metavar="URL", help="any endpoint; no settings file is needed")
    model.add_argument("--api-key-env", metavar="NAME", help="the variable that holds the key")
    model.add_argument("--wire", choices=get_args(WireName), help="the protocol of the endpoint")
    model.add_argument("--window", type=int, metavar="TOKENS", help="the model's context window")
    model.add_argument("--effort", help="how hard to think, in the provider's words")
    place = parser.add_argument_group("the place")
    place.add_argument("--cwd", default=".", metavar="DIR", help="the workspace (default: here)")
    place.add_argument("--settings", metavar="FILE", help="a settings file for this run")
    place.add_argument("--add-dir", action="append", metavar="DIR", help="a further writable directory")
    place.add_argument("--sandbox", choices=("bubblewrap", "none"), help="`none` switches it off")
    place.add_argument("--trust", action="store_true", help="obey the workspace's settings and instructions")


def _run(words: Sequence[str]) -> Invocation:
    parser = _parser("hames", "An agent that you can leave alone, and audit afterwards.", EPILOG)
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("prompt", nargs="?", help="the first words")
    parser.add_argument("-p", "--print", action="store_true", help="do one task and exit")
    _add_connection(parser)
    run = parser.add_argument_group("the run")
    run.add_argument("--output-format", choices=("text", "json", "stream-json"), default="text")
    run.add_argument("--input-format", choices=("text", "stream-json"), default="text")
    run.add_argument("--max-turns", type=int, metavar="N", help="most steps")
    run.add_argument("--max-budget-usd", type=float, metavar="USD", help="most money")
    run.add_argument("--wait-jobs", type=float, metavar="S", help="how long to wait for background work")
    run.add_argument("--permission-mode", metavar="MODE", help="plan, ask, accept_edits or auto")
    run.add_argument("--allowed-tools", "--allowedTools", action="append", metavar="RULES")
    run.add_argument("--disallowed-tools", "--disallowedTools", action="append", metavar="RULES")
    run.add_argument("--append-system-prompt", metavar="TEXT", help="instructions for this session")
    run.add_argument("--verbose", action="store_true", help="say on stderr what is being done")
    session = parser.add_argument_group("the session")
    session.add_argument("-r", "--resume", metavar="ID", help="go on with a session")
    session.add_argument("-c", "--continue", dest="latest", action="store_true", help="with the newest one")
    session.add_argument("--take-over", action="store_true", help="cut off the process that has it in use")
    session.add_argument("--session-id", metavar="ID", help="the id of a new session (26 characters)")
    return _invocation(parser.parse_args(words, _Read()))


class _Read(argparse.Namespace):
    """What argparse found."""

    version: bool = False
    print: bool = False
    prompt: str | None = None
    model: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    wire: WireName | None = None
    window: int | None = None
    effort: str | None = None
    cwd: str = "."
    settings: str | None = None
    add_dir: list[str] | None = None
    sandbox: Literal["bubblewrap", "none"] | None = None
    trust: bool = False
    output_format: OutputFormat = "text"
    input_format: Literal["text", "stream-json"] = "text"
    max_turns: int | None = None
    max_budget_usd: float | None = None
    wait_jobs: float | None = None
    permission_mode: str | None = None
    allowed_tools: list[str] | None = None
    disallowed_tools: list[str] | None = None
    append_system_prompt: str | None = None
    verbose: bool = False
    resume: str | None = None
    latest: bool = False
    take_over: bool = False
    session_id: str | None = None


def _invocation(read: _Read) -> Invocation:
    flags = _flags(read)
    if read.version:
        return Invocation("version", flags)
    if read.resume and read.latest:
        raise UsageError("--resume and --continue name two sessions; give one of them")
    if read.take_over and not (read.resume or read.latest):
        raise UsageError("--take-over goes with --resume or --continue: it names the session")
    if read.session_id is not None and not is_session_id(read.session_id):
        raise UsageError("--session-id: an id is 26 digits and lower-case letters, without i, l, o and u")
    headless = read.print or read.output_format != "text" or read.input_format != "text"
    request = RunRequest(
        words=read.prompt,
        resume=read.resume,
        latest=read.latest,
        take_over=read.take_over,
        session_id=read.session_id,
        output=read.output_format,
        json_input=read.input_format == "stream-json",
        verbose=read.verbose,
    )
    return Invocation("run" if headless else "talk", flags, request)


def _flags(read: _Read) -> Flags:
    permissions = None
    if read.allowed_tools or read.disallowed_tools:
        permissions = Permissions(allow=_rules(read.allowed_tools), deny=_rules(read.disallowed_tools))
    choices = Choices(
        model=read.model,
        base_url=read.base_url,
        wire=read.wire,
        api_key_env=read.api_key_env,
        window=read.window,
        effort=read.effort,
        sandbox=read.sandbox,
        permission_mode=read.permission_mode,
        permissions=permissions,
        max_steps=read.max_turns,
        max_budget_usd=read.max_budget_usd,
        wait_jobs_s=read.wait_jobs,
        add_dirs=tuple(read.add_dir) if read.add_dir else None,
        append_system_prompt=read.append_system_prompt,
    )
    return Flags(choices=choices, workspace=read.cwd, settings=read.settings, trust=read.trust)


def _rules(said: list[str] | None) -> tuple[str, ...]:
    """Rules from flags: commas and blanks part them, but not inside parentheses."""
    rules: list[str] = []
    for text in said or ():
        depth, rule = 0, ""
        for char in f"{text},":
            depth += (char == "(") - (char == ")")
            if depth <= 0 and char in ", ":
                rules.append(rule)
                rule = ""
            else:
                rule += char
    return tuple(rule for rule in rules if rule)


def _exec(words: Sequence[str]) -> Invocation:
    if "--" not in words:
        parser = _exec_parser()
        parser.parse_args(words)
        parser.error("the command stands after `--`: hames exec -- CMD...")
    cut = words.index("--")
    command = tuple(words[cut + 1 :])
    if not command:
        raise UsageError("there is no command after `--`: hames exec -- CMD...")
    read = _exec_parser().parse_args(words[:cut], _Read())
    return Invocation("exec", _flags(read), words=command)


def _exec_parser() -> _Parser:
    parser = _parser("hames exec", "Run one command in the sandbox: hames exec [FLAGS] -- CMD...")
    parser.add_argument("--cwd", default=".", metavar="DIR", help="the workspace (default: here)")
    parser.add_argument("--add-dir", action="append", metavar="DIR", help="a further writable directory")
    parser.add_argument("--sandbox", choices=("bubblewrap", "none"), help="`none` switches it off")
    return parser


class _ReadBack(_Read):
    session: str = ""
    seq: int | None = None
    files: bool = False
    context: bool = False
    both: bool = False
    force: list[str] | None = None
    stop_jobs: bool = False
    worktree: str | None = None


_BACK: Mapping[TakenBack, str] = {
    "undo": "Take back what the last turn did: files and words. What you changed since stays.",
    "redo": "Take back the last undo or rewind, as long as no turn has been started since.",
    "rewind": "Go back to what was after an entry. `hames sessions show ID` has their numbers.",
    "fork": "A new session that goes on from an entry of another one, or from its end.",
}


def _back(what: TakenBack, words: Sequence[str]) -> Invocation:
    parser = _parser(f"hames {what}", _BACK[what])
    named, usual = "ID", "an id, or its start (default: the session of this workspace that changed last)"
    if what in ("rewind", "fork"):
        named, usual = "ID@SEQ", f"{usual}, and an entry of it"
    parser.add_argument("session", nargs=None if what == "rewind" else "?", metavar=named, help=usual)
    _add_back(parser)
    if what == "fork":
        parser.add_argument("--worktree", metavar="DIR", help="lay the files out there; else in place")
    parser.add_argument("--output-format", choices=("text", "json"), default="text")
    parser.add_argument("--cwd", default=".", metavar="DIR", help="the workspace (default: here)")
    parser.add_argument("--settings", metavar="FILE", help="a settings file for this run")
    parser.add_argument("--sandbox", choices=("bubblewrap", "none"), help="as the session had it")
    read = parser.parse_args(words, _ReadBack())
    session, mark, seq = (read.session or "").partition("@")
    if mark and what in ("undo", "redo"):
        parser.error(f"{what} takes no @SEQ; to go back to an entry: hames rewind {read.session}")
    if (mark or what == "rewind") and not (seq.isascii() and seq.isdigit()):
        parser.error(f"{read.session} does not name an entry: write ID@SEQ, for example 01jd7v@14")
    return Invocation(
        "back", _flags(read), back=_back_request(what, read, session, int(seq) if mark else None)
    )


def _add_back(parser: argparse.ArgumentParser) -> None:
    scope = parser.add_mutually_exclusive_group()
    scope.add_argument("--files", action="store_true", help="the files only")
    scope.add_argument("--context", action="store_true", help="the words only: what the model knows")
    scope.add_argument("--both", action="store_true", help="both (the default)")
    parser.add_argument(
        "--force", action="append", metavar="PATH", help="also what you have changed of it since"
    )
    parser.add_argument("--stop-jobs", action="store_true", help="stop background commands first")


def _back_request(what: TakenBack, read: _ReadBack, session: str, through: int | None) -> BackRequest:
    return BackRequest(
        what=what,
        session=session,
        through=through,
        files=not read.context,
        context=not read.files,
        force=tuple(read.force or ()),
        stop_jobs=read.stop_jobs,
        worktree=None if read.worktree is None else os.path.realpath(read.worktree),
        as_json=read.output_format == "json",
    )


class _ReadSession(_Read):
    session: str = ""
    sessions: list[str] = []
    action: Literal["list", "show", "check", "repair", "delete"] = "list"
    json: bool = False
    whole: bool = False
    format: Literal["events"] = "events"


def _sessions(words: Sequence[str]) -> Invocation:
    parser = _parser("hames sessions", "The sessions on this machine.")
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="list | show | check | repair | delete", parser_class=_Parser
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
    flags = _flags(read)
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
    parser = _parser("hames export", "Every durable event of a session, as JSON lines.")
    parser.add_argument("session", metavar="ID", help="an id, or its start")
    parser.add_argument("--format", choices=("events",), default="events")
    read = parser.parse_args(words, _ReadSession())
    return Invocation("export", _flags(read), session=read.session)
