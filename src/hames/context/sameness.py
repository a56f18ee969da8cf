"""When two results say the same: without what differs each time although nothing else does."""

import re
from functools import cache

# Patterns are compiled when they are first used: starting costs nothing.
_ALWAYS = (
    r"output://[\d.]+",  # our own numbers of calls and jobs
    r"\bjob(?:_id=| )\d+\.\d+",
    r"\b0x[0-9a-fA-F]{4,}\b",  # addresses
    r"\btmp/(?:tmp[\w.]{4,}|pytest-of-[^/\s]+/pytest-\d+|[\w.-]*\d{4,}[\w.-]*)",  # names made for one run
    r"\b(?:\d+m ?)?\d+\.\d+ ?(?:s|secs?|seconds|ms|us|µs|ns|min)\b",  # durations that were measured
    r"\b\d+ ?(?:ms|us|µs|ns)\b",
)
_IN_FAILURES = (
    r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)?",  # when it was
    r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b",
    r"\b\d+ ?(?:s|secs?|seconds?|minutes?)\b",  # how long it took
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b",  # one request of many
    r"(?i:\b(?:pid|process)[ =:#]+\d+)",
    r"==\d+==",
)


def essence(text: str, *, failed: bool) -> str:
    """`text` with one mark in the place of each address, temporary name and measured duration.

    A failure is the same at another time, in another process. What went well may be a look at something that
    goes on: its times, numbers and counters tell of that, and stay.
    """
    return _pattern(failed=failed).sub("~", text)


@cache
def _pattern(*, failed: bool) -> re.Pattern[str]:
    return re.compile("|".join((*_ALWAYS, *_IN_FAILURES) if failed else _ALWAYS))
