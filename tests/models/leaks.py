"""How models write calls into their text: the same calls in each format, as public reports show it."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

Asked = tuple[str, Mapping[str, object]]
Write = Callable[[Sequence[Asked]], str]


def json_of(value: object) -> str:
    return msgspec.json.encode(value).decode()


def text_of(value: object) -> str:
    return value if isinstance(value, str) else json_of(value)


def dsml(bar: str, calls: str, gap: str = "") -> Write:
    """DeepSeek's own: with one bar or two, fullwidth or not, with and without a blank."""
    mark = f"{bar}DSML{bar}{gap}"

    def write(asked: Sequence[Asked]) -> str:
        lines = [f"<{mark}{calls}>"]
        for name, arguments in asked:
            lines.append(f'<{mark}invoke name="{name}">')
            lines += [
                f'<{mark}parameter name="{key}" string="{"true" if isinstance(value, str) else "false"}">'
                f"{text_of(value)}</{mark}parameter>"
                for key, value in arguments.items()
            ]
            lines.append(f"</{mark}invoke>")
        return "\n".join([*lines, f"</{mark}{calls}>"])

    return write


def invoked(family: str, wrapper: str) -> Write:
    def write(asked: Sequence[Asked]) -> str:
        lines: list[str] = []
        for name, arguments in asked:
            lines.append(f'<{family}invoke name="{name}">')
            lines += [
                f'<{family}parameter name="{key}">{text_of(value)}</{family}parameter>'
                for key, value in arguments.items()
            ]
            lines.append(f"</{family}invoke>")
        body = "\n".join(lines)
        return f"<{family}{wrapper}>\n{body}\n</{family}{wrapper}>" if wrapper else body

    return write


def functions(before: str, after: str) -> Write:
    """Qwen3-Coder, which often leaves the first tag out."""

    def one(name: str, arguments: Mapping[str, object]) -> str:
        lines = [f"<parameter={key}>\n{text_of(value)}\n</parameter>" for key, value in arguments.items()]
        return "\n".join([f"{before}<function={name}>", *lines, f"</function>{after}"])

    return lambda asked: "\n".join(one(name, arguments) for name, arguments in asked)


def hermes(asked: Sequence[Asked]) -> str:
    return "\n".join(
        f"<tool_call>\n{json_of({'name': name, 'arguments': arguments})}\n</tool_call>"
        for name, arguments in asked
    )


def keys_and_values(asked: Sequence[Asked]) -> str:
    def one(name: str, arguments: Mapping[str, object]) -> str:
        pairs = (
            f"<arg_key>{key}</arg_key>\n<arg_value>{text_of(value)}</arg_value>\n"
            for key, value in arguments.items()
        )
        return f"<tool_call>{name}\n{''.join(pairs)}</tool_call>"

    return "\n".join(one(name, arguments) for name, arguments in asked)


def kimi(asked: Sequence[Asked]) -> str:
    calls = (
        f"<|tool_call_begin|>functions.{name}:{at}<|tool_call_argument_begin|>{json_of(arguments)}"
        "<|tool_call_end|>"
        for at, (name, arguments) in enumerate(asked)
    )
    return f"<|tool_calls_section_begin|>{''.join(calls)}<|tool_calls_section_end|>"


def deepseek_v31(asked: Sequence[Asked]) -> str:
    calls = (
        f"<｜tool▁call▁begin｜>{name}<｜tool▁sep｜>{json_of(arguments)}<｜tool▁call▁end｜>"  # noqa: RUF001
        for name, arguments in asked
    )
    return f"<｜tool▁calls▁begin｜>{''.join(calls)}<｜tool▁calls▁end｜>"  # noqa: RUF001


def deepseek_v3(asked: Sequence[Asked]) -> str:
    calls = (
        f"<｜tool▁call▁begin｜>function<｜tool▁sep｜>{name}\n```json\n{json_of(arguments)}\n```"  # noqa: RUF001
        "<｜tool▁call▁end｜>"  # noqa: RUF001
        for name, arguments in asked
    )
    return f"<｜tool▁calls▁begin｜>{''.join(calls)}<｜tool▁calls▁end｜>"  # noqa: RUF001


def mistral(asked: Sequence[Asked]) -> str:
    return "".join(f"[TOOL_CALLS]{name}[ARGS]{json_of(arguments)}" for name, arguments in asked)


def mistral_list(asked: Sequence[Asked]) -> str:
    return "[TOOL_CALLS]" + named_list(asked)


def named_list(asked: Sequence[Asked]) -> str:
    return json_of([{"name": name, "arguments": arguments} for name, arguments in asked])


def tagged(asked: Sequence[Asked]) -> str:
    return f"<|tool_call|>{named_list(asked)}<|/tool_call|>"


def python_tag(asked: Sequence[Asked]) -> str:
    calls = (json_of({"name": name, "parameters": arguments}) for name, arguments in asked)
    return "<|python_tag|>" + "; ".join(calls)


def granite(asked: Sequence[Asked]) -> str:
    return "<tool_call>" + named_list(asked)


def gemma(asked: Sequence[Asked]) -> str:
    def one(name: str, arguments: Mapping[str, object]) -> str:
        pairs = (
            f"{key}:" + (f'<|"|>{value}<|"|>' if isinstance(value, str) else json_of(value))
            for key, value in arguments.items()
        )
        return f"<|tool_call>call:{name}{{{','.join(pairs)}}}<tool_call|>"

    return "".join(one(name, arguments) for name, arguments in asked)


def fenced(asked: Sequence[Asked]) -> str:
    return f"```json\n{named_list(asked)}\n```"


CLOSED: dict[str, Write] = {
    "dsml": dsml("｜", "tool_calls"),  # noqa: RUF001
    "dsml twice": dsml("｜｜", "calls", " "),  # noqa: RUF001
    "dsml double": dsml("‖", "function_calls"),
    "dsml ascii": dsml("|", "tool_calls"),
    "invoke": invoked("", "function_calls"),
    "minimax": invoked("minimax:", "tool_call"),
    "kimi": kimi,
    "deepseek v3.1": deepseek_v31,
    "deepseek v3": deepseek_v3,
    "fenced": fenced,
}
"""Formats in which the last mark closes everything."""

OPEN: dict[str, Write] = {
    "gemma": gemma,
    "keys and values": keys_and_values,
    "hermes": hermes,
    "functions": functions("<tool_call>\n", "\n</tool_call>"),
    "bare invoke": invoked("", ""),
    "bare functions": functions("", ""),
    "functions with an end too many": functions("", "\n</tool_call>"),
    "mistral": mistral,
    "mistral list": mistral_list,
    "tagged": tagged,
    "python tag": python_tag,
    "granite": granite,
}
"""Formats in which each call is whole by itself, or the rest after the last bracket says nothing."""

ALL = CLOSED | OPEN
