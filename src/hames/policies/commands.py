"""Shell commands as rules see them: plain words, or the simple commands that may hide in a text.

This saves questions; it is not the boundary. The sandbox is. Until commands are judged on their syntax
tree, an allow rule holds only for a command that is plain words and nothing else, and a deny or ask rule
is tried on everything that might be a simple command, quoted text included. A program's name that the
shell builds at run time (by a variable, a substitution or a wildcard) cannot be seen here.
"""

from fnmatch import fnmatchcase

Words = tuple[str, ...]

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+,-= ")
"""The letters of a plain command: nothing that a shell expands or reads as an operator."""

COMMAND_CHARS = 100_000
RUNNER_WORDS = 200
"""Beyond these a command is not looked into, and what cannot be looked into is not run."""

_SPLIT = str.maketrans(
    dict.fromkeys(";&|(){}`\r", "\n") | dict.fromkeys("\t\v\f,", " ") | dict.fromkeys("<>", "\n! ")
)
"""After a redirection the file comes first and the command may follow, as after a runner."""

_DROP = str.maketrans(dict.fromkeys("\"'\\$"))

_RUNNERS = frozenset(
    (
        *(".", "!", "bash", "builtin", "busybox", "chroot", "command", "coproc", "dash", "do", "doas"),
        *("elif", "else", "env", "eval", "exec", "find", "flock", "if", "ionice", "ksh", "nice", "nohup"),
        *("parallel", "setpriv", "setsid", "sh", "source", "ssh", "stdbuf", "strace", "su", "sudo"),
        *("systemd-run", "then", "time", "timeout", "trap", "until", "unshare", "watch", "while", "xargs"),
        "zsh",
    )
)
"""Words that may be followed, at any distance, by another command."""


def plain_words(command: str) -> Words | None:
    """The words of a command that is one program with literal arguments; None for anything else."""
    if not PLAIN.issuperset(command):
        return None
    words = tuple(command.split())
    return None if not words or "=" in words[0] else words


def hidden_commands(command: str) -> tuple[Words, ...] | None:
    """Every word list that a shell might run as a simple command, rather more than less.

    None when the command is too long to say.
    """
    if len(command) > COMMAND_CHARS:
        return None
    text = command.replace("\\\n", "")
    for redirection in (">&", "<&", "&>", ">|"):
        text = text.replace(redirection, ">")
    found: dict[Words, None] = {}
    for segment in text.translate(_SPLIT).split("\n"):
        starts = _starts(broad_words(segment))
        if starts is None:
            return None
        found.update(dict.fromkeys(starts))
    return tuple(found)


def broad_words(text: str) -> Words:
    """The words of a pattern or segment without quotes, the program without its directory."""
    words = text.translate(_DROP).replace(",", " ").split()
    return tuple(words)


def _starts(words: Words) -> list[Words] | None:
    """The places in one segment where a command may begin; None when there are too many."""
    start = 0
    while start < len(words) and _is_assignment(words[start]):
        start += 1
    words = words[start:]
    if not words:
        return []
    if program(words[0]) not in _RUNNERS:
        return [_bare(words)]
    if len(words) > RUNNER_WORDS:
        return None
    return [_bare(words[place:]) for place in range(len(words)) if not words[place].startswith("-")]


def _is_assignment(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.removesuffix("+").isidentifier()


def program(word: str) -> str:
    """A program's name without its directory."""
    return word.rsplit("/", 1)[-1] or word


def _bare(words: Words) -> Words:
    return (program(words[0]), *words[1:])


def fits_exactly(pattern: Words, words: Words) -> bool:
    """For allow rules: `*` as the last word stands for any further words, elsewhere for one word."""
    open_ended = pattern[-1] == "*"
    head = pattern[:-1] if open_ended else pattern
    if len(words) < len(head) or (len(words) > len(head) and not open_ended):
        return False
    return all(map(fnmatchcase, words, head))


def fits_broadly(pattern: Words, words: Words) -> bool:
    """For deny and ask rules: `*` stands for any number of words, also as the end of one (`test*`)."""
    text = " ".join(words)
    wanted = " ".join(_bare(pattern))
    return fnmatchcase(text, wanted) or (wanted.endswith(" *") and fnmatchcase(text, wanted[:-2]))
