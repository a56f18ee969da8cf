"""Reserve: no request asks for more than what is left pays for, and each counts, also when it is lost."""

from collections.abc import Callable

import msgspec

from hames.context.count import most_tokens
from hames.core.errors import ModelError, OverLimit
from hames.core.events import Cost, Usage
from hames.core.limits import OUTPUT_SPARE_TOKENS, PRICE_AHEAD_S, REPLY_TOKENS, RESERVED_SHARE
from hames.core.messages import AssistantMessage
from hames.core.ports import Alive, AskOptions, Delta, Reply
from hames.loop.asking import Answerer
from hames.loop.kit import Kit
from hames.loop.purse import Most


def within_budget(kit: Kit, options: AskOptions, size: int) -> AskOptions:
    """The options of a request of `size` bytes, with no longer a reply than may be paid for.

    Raises `OverLimit` when what is left does not pay for the shortest.
    """
    left = kit.purse.left().least(Most(_left_for_stand_ins(kit)))
    if left == Most():
        return options
    answerer, now = kit.answerer, kit.clock.now()
    wanted = options.max_tokens or answerer.profile.facts.max_output
    least = min(wanted, OUTPUT_SPARE_TOKENS)
    taken = most_tokens(kit.view, size)
    room = wanted
    if left.tokens is not None:
        room = _affordable(lambda output: taken + output, left.tokens, room)
        if room < least:
            most = kit.limits.max_tokens or left.tokens
            words = f"the {left.tokens:,} tokens that are left do not suffice for another request"
            raise OverLimit("max_budget_tokens", most, words)
    if left.nano_usd is not None:
        room = _affordable(
            lambda output: _price(answerer, Usage(input=taken, output=output), now), left.nano_usd, room
        )
        if room < least:
            raise _too_little_money(kit, left.nano_usd, _price(answerer, Usage(input=taken), now))
    return msgspec.structs.replace(options, max_tokens=room)


def most_of(kit: Kit, options: AskOptions, size: int) -> Cost:
    """What a request of `size` bytes with these options can cost."""
    answerer = kit.answerer
    output = options.max_tokens or answerer.profile.facts.max_output
    usage = Usage(input=most_tokens(kit.view, size), output=output)
    return Cost(usage, _price(answerer, usage, kit.clock.now()))


def _left_for_stand_ins(kit: Kit) -> int | None:
    """What is left of what models other than the first may cost, if one of them is asked now."""
    most = kit.limits.stand_in_nano_usd
    if kit.asking.at == 0 or most is None:
        return None
    return max(0, most - spent_by_stand_ins(kit))


def spent_by_stand_ins(kit: Kit) -> int:
    """What models other than the first have cost."""
    own = kit.asking.first.name
    return sum(cost for name, cost in kit.view.nano_usd.items() if name != own)


def _too_little_money(kit: Kit, left: int, price: int | None) -> OverLimit:
    usd = (kit.limits.max_nano_usd or left) / 1e9
    if price is None:
        return OverLimit("max_budget_usd", usd, "a budget is set but no price is known")
    words = f"the {left / 1e9:.2g} USD that are left of the budget do not pay for another request"
    return OverLimit("max_budget_usd", usd, words)


def _price(answerer: Answerer, usage: Usage, now: float) -> int | None:
    """The most that this usage costs, whatever of it is cached, and whether the reply comes now or later."""
    prices = [
        answerer.price(msgspec.structs.replace(usage, cached=cached), at)
        for cached in (0, usage.input)
        for at in (now, now + PRICE_AHEAD_S)
    ]
    known = [price for price in prices if price is not None]
    return max(known) if len(known) == len(prices) else None


def _affordable(cost: Callable[[int], int | None], left: int, wanted: int) -> int:
    """The longest reply that a share of what is left pays for; all of it for one that is short. Below 0 when
    not even the request can be paid."""
    short = min(REPLY_TOKENS, wanted)
    shared = _longest(cost, int(left * RESERVED_SHARE), wanted)
    return shared if shared >= short else _longest(cost, left, short)


def _longest(cost: Callable[[int], int | None], left: int, wanted: int) -> int:
    def pays(output: int) -> bool:
        price = cost(output)
        return price is not None and price <= left

    if pays(wanted):
        return wanted
    paid, unpaid = -1, wanted
    while unpaid - paid > 1:
        middle = (paid + unpaid) // 2
        if pays(middle):
            paid = middle
        else:
            unpaid = middle
    return paid


class Heard:
    """What came of a reply: `any_came` of the server, and whether anything was `said`."""

    def __init__(self) -> None:
        self.any_came = False
        self.said = False

    def take(self, item: Delta | Reply) -> None:
        """Something has come."""
        self.any_came = True
        self.said = self.said or not isinstance(item, Alive)


_ANSWERED = frozenset(("cut", "empty", "malformed", "stalled"))
"""The server has taken the request, and may have worked on it."""


def cost_of_failure(error: ModelError, heard: Heard, most: Cost) -> Cost | None:
    """What an attempt without a whole reply counts for: all that was set aside if the server may have made
    some of the reply, however little came; nothing (None) if it has refused, or was not reached."""
    if heard.said or error.kind in _ANSWERED or (error.kind == "transport" and heard.any_came):
        return most
    return None


class Bill(msgspec.Struct, frozen=True):
    """What a reply has cost; `estimated` where the provider has not said all of it."""

    cost: Cost
    estimated: bool


def bill(kit: Kit, reply: Reply) -> Bill:
    """What the reply to the last request has cost.

    Where the provider has not counted, the input is what was set aside for it, and the output a token for
    each byte, but no more than was asked for; all of it if the reply was cut at that.
    """
    usage, reserved, now = reply.usage, kit.view.reserved, kit.clock.now()
    if usage.input and usage.output:
        return Bill(Cost(usage, kit.answerer.price(usage, now)), estimated=False)
    assert reserved is not None
    most = reserved.cost.usage
    said = most.output if reply.finish == "length" else min(most.output, _size(reply.message))
    usage = msgspec.structs.replace(usage, input=usage.input or most.input, output=usage.output or said)
    return Bill(Cost(usage, _price(kit.answerer, usage, now)), estimated=True)


def _size(message: AssistantMessage) -> int:
    """The bytes of what the model has said."""
    thought = message.reasoning.text if message.reasoning is not None else ""
    calls = (f"{call.name}{call.arguments}" for call in message.calls)
    return sum(len(text.encode()) for text in (message.text, thought, *calls))
