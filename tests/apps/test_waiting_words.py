"""Words that came while no process had the session open."""

import pytest

from hames.assembly.system import SystemClock
from hames.core.ids import SessionId
from hames.core.messages import Text
from hames.core.ports import Words
from hames.session.inbox import arrival_of
from hames.stores.sqlite import open_sqlite
from tests.apps.outside import Outside

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]


async def test_words_that_wait_are_heard_at_the_next_resume_and_only_then(outside: Outside) -> None:
    async with outside.scripted({"text": "one"}, {"text": "two"}) as model:
        flags = ["--output-format", "stream-json", *outside.to(model)]
        session = SessionId(str((await outside.hames("-p", "go", *flags)).result["session_id"]))
        async with await open_sqlite(str(outside.state), SystemClock()) as store:
            words = arrival_of(Words((Text("and the tests?"),)), "mail-1")
            assert await store.put(session, words)
            assert not await store.put(session, words)
        assert "two" in (await outside.hames("-p", "--resume", session, *flags)).out
        assert (await outside.hames("export", session)).out.count("and the tests?") == 1
        refused = await outside.hames("-p", "--resume", session, *flags, check=2)
    assert "say what comes next" in refused.err
