"""Products in pages."""


def page_count(items: int, size: int) -> int:
    """How many pages of `size` hold `items`."""
    if size < 1:
        raise ValueError("a page holds at least one item")
    return items // size


def page(items: list[str], number: int, size: int) -> list[str]:
    """The items on page `number`; the first page is 1."""
    start = number * size
    return items[start : start + size]
