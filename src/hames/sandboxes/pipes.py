"""The two pipes that a command has beside its output, and what comes on them; standard library only."""

CONTROL, STATUS = 3, 4
"""Their descriptors in the command. The status pipe is bubblewrap's own: inside the sandbox it is closed."""


def first_inside(status: bytes) -> int:
    """The sandbox's init, by what bubblewrap has said so far; 0 when it has not said."""
    digits = status.partition(b'"child-pid": ')[2].partition(b",")[0]
    return int(digits) if digits.isdigit() else 0


def has_run(status: bytes) -> bool:
    """Whether bubblewrap reports an exit code: it does so only for a command that it has really started."""
    return b'"exit-code": ' in status


def last_words(control: bytes) -> tuple[str, int]:
    """The last absolute path that came whole on the control pipe, and how many processes were named after it:
    those that the shell had in the background at its end."""
    path, left = b"", 0
    for line in control.split(b"\n")[:-1]:
        if line.startswith(b"/") and b"\0" not in line:
            path, left = line, 0
        elif line.isdigit():
            left += 1
    return path.decode("utf-8", "surrogateescape"), left
