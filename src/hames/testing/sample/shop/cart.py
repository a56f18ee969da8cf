"""A cart: lines of goods, and what they cost. All money is in cents."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """So many of one thing, at a price each."""

    name: str
    quantity: int
    price: int


def parse_line(text: str) -> Line:
    """Read a line such as `2 x apple @ 30`."""
    quantity, rest = text.split(" x ", 1)
    name, price = rest.split("@")
    return Line(name, int(quantity), int(price))


def subtotal(lines: list[Line]) -> int:
    """What the lines cost before any discount."""
    return sum(line.price for line in lines)


def total(lines: list[Line], discount_percent: int = 0) -> int:
    """What is to be paid; half a cent is rounded up, in favour of the shop."""
    if discount_percent < 0 or discount_percent > 100:
        raise ValueError("a discount is from 0 to 100 percent")
    before = subtotal(lines)
    return before - before * discount_percent // 100
