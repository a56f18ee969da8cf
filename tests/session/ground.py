"""A session over a real directory, with real snapshots of it."""

import os
import shutil
from pathlib import Path

from hames.context.view import View
from hames.core.events import AnyEvent, Entry
from hames.core.ids import SessionId
from hames.core.messages import Text, UserMessage, plain
from hames.core.ports import CallContext, Past, ToolResult, Words
from hames.session.host import Host
from hames.session.keeping import Keeping, Shelf
from hames.session.session import Session
from hames.session.trees import Keeper
from hames.snapshots.budget import Budget
from hames.snapshots.capture import Workspace
from hames.stores.sqlite import SqliteStore
from hames.testing.scripted import Answer, Scripted
from tests.rig import Rig, asks, ok


def words(text: str) -> list[Words]:
    return [Words((Text(text),))]


def doing(*does: str) -> list[Answer]:
    """A turn that does these, each in a reply of its own, and says so."""
    return [*(asks(("do", each)) for each in does), Scripted(text="done")]


class Calm(Keeper):
    """A keeper that leaves no thread behind: its first look is taken when it is needed."""

    def begin(self) -> None:
        """Too early."""


class Ground:
    """A workspace, and a host whose model says what the test lets it say."""

    def __init__(self, root: Path, *answers: Answer) -> None:
        self.root = root / "w"
        self.root.mkdir()
        self.scratch = root / "scratch"
        self.scratch.mkdir()
        self.rig = Rig(*answers, tools={"do": ("effectful", self.do), "read": ("pure", self.read)})
        self.rig.workspace = str(self.root)
        self.rig.trees = self.keeper
        self.kind: type[Keeper] = Calm
        self.further: tuple[str, ...] = ()
        self.store: SqliteStore | None = None

    @property
    def host(self) -> Host:
        return self.rig.host

    def keeper(self, view: View) -> Keeping:
        root = view.opened.workspace if view.opened is not None else str(self.root)
        store = self.store or self.rig.store
        shelf = Shelf(store, store, self.rig.clock, lambda _: None)
        past = None if view.tree is None else Past(view.tree, tuple(view.packs))
        workspace = Workspace(root, lambda: str(self.scratch), (), Budget(1000, 10**9), self.further)
        return self.kind(workspace, shelf, past)

    async def do(self, arguments: str, context: CallContext) -> ToolResult:
        for each in arguments.split(";"):
            change(self.root, each)
        return ok("did it")

    async def read(self, arguments: str, context: CallContext) -> ToolResult:
        return ok((self.root / arguments).read_text())

    async def turn(self, text: str, session: Session | None = None) -> Session:
        """A turn in a session that is opened, or resumed."""
        session = session or await self.rig.open()
        await session.say(words(text))
        return session

    async def entries(self, session: SessionId) -> list[Entry]:
        return list(await self.rig.store.read(session))

    async def events(self, session: SessionId) -> list[AnyEvent]:
        return [event for entry in await self.entries(session) if (event := entry.event) is not None]

    def files(self, root: Path | None = None) -> dict[str, str]:
        """What is in the workspace, with the modes of files."""
        root = root or self.root
        found: dict[str, str] = {}
        for above, directories, names in os.walk(root):
            place = Path(above)
            for name in directories:
                found[f"{(place / name).relative_to(root)}/"] = ""
            for name in names:
                file = place / name
                found[str(file.relative_to(root))] = f"{file.stat().st_mode & 0o777:o} {file.read_text()}"
        return found


def change(root: Path, what: str) -> None:
    """`write NAME TEXT`, `remove NAME`, `mode NAME OCTAL`, `make NAME` or nothing."""
    verb, _, rest = what.strip().partition(" ")
    name, _, more = rest.partition(" ")
    path = root / name
    match verb:
        case "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(more)
        case "remove":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        case "mode":
            path.chmod(int(more, 8))
        case "make":
            path.mkdir(parents=True)
        case _:
            assert verb == "nothing"


def heard(view: View) -> list[str]:
    """What the model has been told in words, without the note of the workspace."""
    return [plain(m.parts) for m in view.messages if isinstance(m, UserMessage)][1:]
