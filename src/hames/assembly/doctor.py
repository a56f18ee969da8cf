"""`hames doctor`: is everything here that a run needs? Each line says what to do."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Sequence

import msgspec

from hames import __version__
from hames.assembly.answerers import answerers_for, client_for
from hames.assembly.build import boundary_of, sandbox_for
from hames.assembly.one_request import small_body, whole_reply
from hames.assembly.settings import Settings
from hames.assembly.standard_streams import print_line
from hames.assembly.system import SystemClock
from hames.channels.listing import size
from hames.core.errors import ExitCode, HamesError, ModelError
from hames.core.ports import AskOptions
from hames.loop.asking import Answerer
from hames.sandboxes.bubblewrap import find_program

FREE_BYTES = 500 * 1000 * 1000
"""Less free space than this is worth a warning."""


MOST_TOKENS = 16

LIMIT_S = 60.0
"""A model that has said nothing by then does not answer."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `fix` says what to do; `hurts` when a run cannot work without it."""

    name: str
    good: bool
    found: str
    fix: str = ""
    hurts: bool = True
    code: ExitCode = ExitCode.CONFIG


async def doctor(settings: Settings) -> ExitCode:
    """Look at everything, print a line for each, and exit with the first thing that hurts."""
    findings = [
        _python(),
        _versions(),
        _state(settings),
        _disk(settings),
        _ripgrep(settings),
        await _sandbox(settings),
        *await _model(settings),
    ]
    for finding in findings:
        print_finding(finding)
    return verdict(findings)


def print_finding(finding: Finding) -> None:
    """One line, with what to do where something is wrong."""
    mark = "ok  " if finding.good else ("FAIL" if finding.hurts else "warn")
    fix = f"; {finding.fix}" if finding.fix and not finding.good else ""
    print_line(f"{mark}  {finding.name}: {finding.found}{fix}")


def verdict(findings: Sequence[Finding]) -> ExitCode:
    """That of the first thing that hurts."""
    bad = [finding for finding in findings if not finding.good and finding.hurts]
    return bad[0].code if bad else ExitCode.DONE


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", sys.version_info >= (3, 11), version, "install Python 3.11 or newer")


def _versions() -> Finding:
    return Finding("versions", True, f"hames {__version__}, SQLite {sqlite3.sqlite_version}, {sys.platform}")


def _state(settings: Settings) -> Finding:
    place = settings.directories.state
    fix = "make it writable, or set XDG_STATE_HOME"
    probe = os.path.join(place, f".doctor-{os.getpid()}")
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.unlink(probe)
    except OSError as error:
        return Finding("state", False, f"{place}: {error.strerror}", fix, code=ExitCode.FAILED)
    return Finding("state", True, place)


def _disk(settings: Settings) -> Finding:
    parent = settings.directories.state
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    free = shutil.disk_usage(parent).free
    return Finding("disk", free >= FREE_BYTES, f"{size(free)} free", "make room", hurts=False)


def _ripgrep(settings: Settings) -> Finding:
    path = find_program("rg", settings.environ.get("PATH", ""))
    return Finding("ripgrep", bool(path), path or "not found", "install it: apt-get install ripgrep")


async def _sandbox(settings: Settings) -> Finding:
    try:
        report = await sandbox_for(settings, boundary_of(settings)).probe()
    except HamesError as error:
        return Finding("sandbox", False, str(error))
    if report.name == "none":
        return Finding("sandbox", False, "switched off", "leave --sandbox none out", hurts=False)
    holds = report.confines_writes and report.confines_reads and report.confines_network
    tried = "a write, a read and a connection were really tried"
    return Finding(
        "sandbox", holds and not report.problem, f"{report.name} {report.version}, {tried}", report.problem
    )


async def _model(settings: Settings) -> list[Finding]:
    clock = SystemClock()
    async with client_for(settings, clock) as client:
        try:
            answerer = answerers_for(settings, clock, client)[0]
        except HamesError as error:
            return [Finding("model", False, str(error), code=error.exit_code)]
        return await _answers(answerer)


async def _answers(answerer: Answerer) -> list[Finding]:
    provider = answerer.profile.provider
    named = f"{provider.name}/{answerer.profile.model} at {provider.base_url}"
    key = Finding("key", True, provider.key_env or "none needed")
    words, options = "Answer with the one word: ready", AskOptions(max_tokens=MOST_TOKENS)
    body = small_body(answerer.wire, answerer.profile.model, words, options)
    try:
        await whole_reply(answerer.model, body, LIMIT_S)
    except ModelError as error:
        if error.kind in ("empty", "cut"):
            return [key, Finding("model", True, f"{named} answers (with nothing in {MOST_TOKENS} tokens)")]
        return [key, Finding("model", False, f"{named}: {error}", code=error.exit_code)]
    return [key, Finding("model", True, f"{named} answers")]
