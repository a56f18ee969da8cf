"""What a person asks of one run, beside its settings."""

import msgspec

from hames.channels.headless import OutputFormat


class RunRequest(msgspec.Struct, frozen=True):
    """One run: the words, the session, and the shape of the answer.

    `resume` is an id or the start of one; `latest` means the newest session of the workspace. With
    `take_over` a process that has it in use is cut off.
    """

    words: str | None = None
    resume: str | None = None
    latest: bool = False
    take_over: bool = False
    session_id: str | None = None
    output: OutputFormat = "text"
    json_input: bool = False
    verbose: bool = False
