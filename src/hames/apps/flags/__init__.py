"""The command line, read: flags as Claude Code has them, where it has them."""

from collections.abc import Sequence
from math import inf

from hames.apps.flags.parser import Invocation, Read, add_connection, flags_of, parser_of
from hames.assembly.ask_for import RunRequest
from hames.core.errors import UsageError
from hames.core.events import GoalSet
from hames.core.ids import is_session_id
from hames.core.limits import GOAL_OFF, GOAL_TIMEOUT_S
from hames.loop.goal import goal_set

__all__ = ["Invocation", "parse"]

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
  hames models                  the models that are known; `hames models test MODEL` asks one
  hames models local            serve weights on this machine, or look at a server
  hames doctor                  check the installation; `--local`: a model on this machine
  hames demo                    see it repair a small project
"""


def parse(words: Sequence[str]) -> Invocation:
    """Read the command line. Raises `UsageError`; `--help` prints and exits."""
    first = words[0] if words else ""
    match first:
        case "undo" | "redo" | "rewind" | "fork":
            from hames.apps.flags.back import read_back  # noqa: PLC0415 - a run does without

            return read_back(first, words[1:])
        case "exec" | "sessions" | "export" | "gc" | "doctor" | "models":
            from hames.apps.flags.beside import read_beside  # noqa: PLC0415 - a run does without

            return read_beside(first, words[1:])
        case _:
            return _run(words)


def _run(words: Sequence[str]) -> Invocation:
    parser = parser_of("hames", "An agent that you can leave alone, and audit afterwards.", EPILOG)
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("prompt", nargs="?", help="the first words")
    parser.add_argument("-p", "--print", action="store_true", help="do one task and exit")
    add_connection(parser)
    run = parser.add_argument_group("the run")
    run.add_argument("--output-format", choices=("text", "json", "stream-json"), default="text")
    run.add_argument("--input-format", choices=("text", "stream-json"), default="text")
    run.add_argument("--max-turns", type=int, metavar="N", help="most steps")
    run.add_argument("--max-budget-usd", type=float, metavar="USD", help="most money")
    run.add_argument("--max-budget-tokens", type=int, metavar="N", help="most tokens, in and out")
    run.add_argument("--max-time", type=float, metavar="S", help="most seconds of a turn")
    run.add_argument("--stop-at", metavar="HH:MM", help="time of the day at which it ends")
    run.add_argument("--patience", type=float, metavar="S", help="how long to wait for a provider in trouble")
    run.add_argument(
        "--fallback-model", action="append", metavar="MODEL", help="stands in meanwhile; may be repeated"
    )
    run.add_argument("--until", metavar="CMD", help="not done before this command passes; `off` lifts it")
    run.add_argument("--until-timeout", type=float, metavar="S", help="how long that command may take")
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
    return _invocation(parser.parse_args(words, Read()))


def _invocation(read: Read) -> Invocation:
    flags = flags_of(read)
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
        goal=_goal(read),
    )
    return Invocation("run" if headless else "talk", flags, request)


def _goal(read: Read) -> GoalSet | None:
    timeout_s = GOAL_TIMEOUT_S if read.until_timeout is None else read.until_timeout
    if not 0.001 <= timeout_s < inf:
        raise UsageError("--until-timeout takes a number of seconds above 0")
    if read.until is None:
        if read.until_timeout is not None:
            raise UsageError("--until-timeout goes with --until: it names the command")
        return None
    command = read.until.strip()
    if not command or "\0" in command:
        raise UsageError(f"--until needs a command; `--until {GOAL_OFF}` lifts the goal of a session")
    return goal_set(command, "--until", timeout_s)
