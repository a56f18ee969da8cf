"""`hames models test`: one small request, through the same parts as a run, and what came of it."""

import msgspec

from hames.assembly.answerers import answerers_for, client_for
from hames.assembly.one_request import small_body, whole_reply
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import print_fact
from hames.assembly.system import SystemClock
from hames.core.errors import ExitCode, FailureKind, ModelError
from hames.core.messages import Call
from hames.core.ports import AskOptions, Reply, ToolSpec
from hames.core.text import for_terminal
from hames.loop.asking import Answerer
from hames.models.salvage import salvaged

LIMIT_S = 60.0
"""The whole trial may take this long."""

MOST_TOKENS = 2048
"""Room for the thoughts of a model that cannot do without."""

WORD = "ready"
TOOL = ToolSpec(
    "report",
    "Report one word.",
    msgspec.Raw(
        b'{"type":"object","properties":{"word":{"type":"string"}},"required":["word"],'
        b'"additionalProperties":false}'
    ),
)
ASKED = f"Call the tool `report` with the word `{WORD}`. Do nothing else."

_TO_DO: dict[FailureKind, str] = {
    "rate": "too many requests with this key: wait, or ask the provider for more",
    "overload": "the provider is in trouble: try again later",
    "transport": "is the server running, is the address right, is a proxy in between?",
    "stalled": "is the address right? A model that is being loaded may need minutes: try again",
    "cut": "the reply broke off: try again; if it stays so, look at what lies between here and the server",
    "empty": "the server has answered with nothing: try again, or another model",
    "malformed": "the server answers, but in another protocol? See --wire",
    "overflow": "the window of this server is tiny: start it with a larger one",
    "refused": "the model does not want to: try another",
    "rejected": "the server takes no such request: does it speak this protocol? See --wire",
}
"""What to do about a failure, where its own words do not say it."""


async def try_model(settings: Settings) -> ExitCode:
    """Ask the model of the settings once, without a second attempt. Raises `ConfigError`."""
    clock = SystemClock()
    async with client_for(settings, clock) as client:
        return await _try(settings, clock, answerers_for(settings, clock, client)[0])


async def _try(settings: Settings, clock: SystemClock, answerer: Answerer) -> ExitCode:
    profile = answerer.profile
    provider = profile.provider
    print_fact("asked", f"{provider.name}/{profile.model} at {provider.base_url}, wire {provider.wire}")
    print_fact("key", provider.key_env or "none")
    began = clock.elapsed()
    try:
        reply = await ask_for_call(answerer, settings.effort, LIMIT_S)
    except ModelError as error:
        print_fact(
            "failed", f"{error.kind}, after {clock.elapsed() - began:.2f} s: {for_terminal(str(error))}"
        )
        if error.kind in _TO_DO:
            print_fact("to do", _TO_DO[error.kind])
        return error.exit_code
    print_fact("first byte", f"{reply.first_byte_s:.2f} s")
    print_fact("whole reply", f"{clock.elapsed() - began:.2f} s")
    print_fact("model", for_terminal(reply.model) or "not named by the server")
    usage = reply.usage
    print_fact(
        "usage", f"{usage.input} in ({usage.cached} cached), {usage.output} out ({usage.reasoning} thought)"
    )
    cost = answerer.price(usage, clock.now())
    print_fact("cost", "not known" if cost is None else f"{cost / 1e9:.6f} US dollars")
    if reply.repairs:
        print_fact("mended", for_terminal("; ".join(reply.repairs)))
    return _judge(reply, provider.name)


async def ask_for_call(answerer: Answerer, effort: str | None, limit_s: float) -> Reply:
    """Ask once for a call of one tool. Raises `ModelError`."""
    profile = answerer.profile
    # As little thinking as there is, unless the settings say how much.
    effort = effort or ("low" if "low" in profile.provider.efforts else None)
    options = AskOptions(max_tokens=min(MOST_TOKENS, profile.facts.max_output), effort=effort)
    body = small_body(answerer.wire, profile.model, ASKED, options, (TOOL,))
    return salvaged(await whole_reply(answerer.model, body, limit_s), [TOOL.name])


def was_called(reply: Reply) -> bool:
    """Whether the tool was called as it was asked for."""
    return any(_is_as_asked(call) for call in reply.message.calls)


def _judge(reply: Reply, provider: str) -> ExitCode:
    """Without calls a model is of no use here."""
    calls = reply.message.calls
    if was_called(reply):
        print_fact("tool", "called as asked")
        return ExitCode.DONE
    if calls:
        made = ", ".join(f"{call.name} {call.arguments}" for call in calls)
        print_fact("tool", f"called otherwise than asked: {for_terminal(made)}")
    else:
        print_fact("tool", f"not called; it said: {for_terminal(reply.message.text) or 'nothing'}")
    print_fact(
        "to do",
        "use a model that can call tools. A local server may need an option for that; if it cannot, give"
        f' --tool-mode json_schema, or write `tool_mode = "json_schema"` into [providers.{provider}] of your'
        " settings file",
    )
    return ExitCode.FAILED


def _is_as_asked(call: Call) -> bool:
    try:
        arguments = msgspec.json.decode(call.arguments, type=dict[str, object])
    except msgspec.DecodeError:
        return False
    return call.name == TOOL.name and str(arguments.get("word", "")).strip().casefold() == WORD
