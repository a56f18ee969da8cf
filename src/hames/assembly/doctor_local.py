"""`hames doctor --local`: one call of each tool from a model near at hand, with the real sampler."""

import os

import msgspec

from hames.assembly.ask_for import LocalRequest
from hames.assembly.build import tools_to_read
from hames.assembly.doctor import Finding, print_finding, verdict
from hames.assembly.local_server import TRIAL_S, Near, near
from hames.assembly.one_request import small_body, whole_reply
from hames.assembly.settings import Directories, Settings
from hames.assembly.system import SystemClock
from hames.core.errors import ArgumentProblem, ConfigError, ExitCode, FailureKind, ModelError
from hames.core.messages import Call
from hames.core.ports import AskOptions, Body, Clock, Reply, Tools, ToolSpec
from hames.core.text import for_terminal, one_line
from hames.loop.asking import Answerer
from hames.models.chat_json import ChatJsonWire
from hames.models.served import ServedModel

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""The weights for tests; `scripts/fetch-test-weights` brings them."""

MOST_TOKENS = 256
SHOWN_CHARS = 80

_ARGUMENTS = {
    "read": '{"file_path": "notes.txt"}',
    "write": '{"file_path": "hello.txt", "content": "hello"}',
    "edit": '{"file_path": "notes.txt", "old_string": "red", "new_string": "blue"}',
    "bash": '{"command": "ls"}',
    "grep": '{"pattern": "red"}',
    "glob": '{"pattern": "*.txt"}',
    "todo_write": '{"todos": [{"content": "look", "status": "pending"}]}',
    "job": '{"action": "list"}',
    "find_tools": '{"query": "pictures"}',
    "call_tool": '{"name": "read", "arguments": {"file_path": "notes.txt"}}',
}
"""What the model is asked to call each tool with."""

_IN_VAIN: frozenset[FailureKind] = frozenset(("transport", "stalled", "auth", "balance", "unknown_model"))
"""After one of these there is no use in asking on."""


def weights_file(directories: Directories) -> str:
    """Where the weights for tests are kept."""
    return os.path.join(directories.cache, "weights", WEIGHTS)


async def doctor_local(settings: Settings, asked: LocalRequest) -> ExitCode:
    """Have each tool called once, print a line for each, and exit with the first thing that is wrong.

    The replies are held to calls by the server; what they say is read as in a run. Nothing is run. Raises
    `ConfigError` and `ModelError` when there is nobody to ask.
    """
    clock = SystemClock()
    asked = _with_weights(settings, asked)
    began = clock.elapsed()
    async with near(settings, asked, clock) as found:
        model = found.model()
        if model is None:
            names = ", ".join(each.name for each in found.models)
            raise ConfigError(f"--model: name one of those that this server has: {names}")
        print_finding(_server(found, model, clock.elapsed() - began))
        tools, findings = tools_to_read(settings), list[Finding]()
        answerer = found.answerer(model, "json_schema")
        for spec in tools.specs():
            try:
                finding = await _called(answerer, tools, spec, clock)
            except ModelError as error:
                finding = Finding(spec.name, False, for_terminal(str(error)), code=error.exit_code)
                if error.kind in _IN_VAIN:
                    print_finding(finding)
                    return finding.code
            print_finding(finding)
            findings.append(finding)
    return verdict(findings)


def _with_weights(settings: Settings, asked: LocalRequest) -> LocalRequest:
    if asked.gguf or asked.url:
        return asked
    path = weights_file(settings.directories)
    if not os.path.exists(path):
        raise ConfigError(
            "--local: there is no model to ask. Name weights with --gguf FILE, or a server with --url URL;"
            " scripts/fetch-test-weights brings small weights for this"
        )
    return msgspec.structs.replace(asked, gguf=path)


def _server(found: Near, model: ServedModel, spent_s: float) -> Finding:
    what = f"started in {spent_s:.1f} s" if found.started is not None else found.base_url
    window = f", window {model.window:,}" if model.window else ""
    return Finding("server", True, for_terminal(f"{model.name}, {what}{window}"))


async def _called(answerer: Answerer, tools: Tools, spec: ToolSpec, clock: Clock) -> Finding:
    """Ask for one call of this tool, and read it. Raises `ModelError`."""
    began = clock.elapsed()
    reply = await whole_reply(answerer.model, _body(answerer, spec), TRIAL_S)
    usage = reply.usage
    cost = f"{usage.input} + {usage.output} tokens, {clock.elapsed() - began:.1f} s"
    problem = _problem(reply, tools, spec)
    if problem:
        return Finding(spec.name, False, f"{for_terminal(problem)}; {cost}", code=ExitCode.FAILED)
    return Finding(spec.name, True, f"{_shown(reply.message.calls[0])}; {cost}")


def _body(answerer: Answerer, spec: ToolSpec) -> Body:
    """A request for one call of this tool: the form of the reply allows nothing else."""
    provider = answerer.profile.provider
    # The likeliest word each time: the same weights then say the same again.
    extra = {**provider.extra, "temperature": msgspec.Raw(b"0")}
    wire = ChatJsonWire(
        msgspec.structs.replace(provider, extra=extra), model=answerer.profile.model, must_call=True
    )
    words = f"Call the tool {spec.name} with the arguments {_ARGUMENTS[spec.name]}"
    return small_body(wire, answerer.profile.model, words, AskOptions(max_tokens=MOST_TOKENS), (spec,))


def _problem(reply: Reply, tools: Tools, spec: ToolSpec) -> str:
    """Why this reply is no call of the tool that a run could go on with; empty if it is one."""
    calls = reply.message.calls
    if len(calls) != 1 or calls[0].name != spec.name:
        made = ", ".join(call.name for call in calls) or "nothing"
        return f"called {made}: the server does not hold replies to the form that is asked for"
    try:
        tools.prepare(calls[0].name, calls[0].arguments)
    except ArgumentProblem as error:
        return str(error)
    return ""


def _shown(call: Call) -> str:
    arguments = one_line(for_terminal(call.arguments), SHOWN_CHARS)
    asked = msgspec.json.decode(_ARGUMENTS[call.name]) == msgspec.json.decode(call.arguments)
    return f"{arguments}{'' if asked else ' (other arguments than asked, but good ones)'}"
