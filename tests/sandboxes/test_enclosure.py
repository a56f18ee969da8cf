"""The network of a session."""

import sys
from pathlib import Path

import anyio
import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.needs_bwrap]

ROOT = str(Path(sys.modules["hames"].__path__[0]).parent)
TRY = """
import os, socket, sys
sys.path.append(sys.argv[1])
from hames.sandboxes.enclosure import enclose
before = os.stat(sys.argv[1]).st_uid, os.getuid()
done = enclose()
names = [name for _, name in socket.if_nameindex()]
if done:
    server = socket.create_server(("127.0.0.1", 0))
    socket.create_connection(server.getsockname())
    with open("/proc/net/route") as routes:
        names += routes.read().splitlines()[1:]
print(done, "lo" in names, (os.stat(sys.argv[1]).st_uid, os.getuid()) == before)
"""


async def _say(*words: str) -> str:
    done = await anyio.run_process([*words, sys.executable, "-I", "-S", "-c", TRY, ROOT], check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_the_network_has_loopback_and_nothing_else_and_the_user_stays_who_it_was() -> None:
    assert await _say() == "True True True\n"


@pytest.mark.parametrize("limit", ["max_user_namespaces", "max_net_namespaces"])
async def test_where_the_kernel_does_not_let_it_nothing_changes(limit: str) -> None:
    script = f'echo 0 >/proc/sys/user/{limit} && exec "$@"'
    assert (await _say("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")).startswith("False")


async def test_where_no_sandbox_could_be_made_inside_nothing_changes() -> None:
    script = 'echo 1 >/proc/sys/user/max_user_namespaces && exec "$@"'
    assert (await _say("unshare", "--user", "--map-root-user", "sh", "-c", script, "sh")).startswith("False")
