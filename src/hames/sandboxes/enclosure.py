"""The network of a session: a namespace that the supervisor enters, with loopback and nothing else."""

import ctypes
import os
import sys
from _socket import AF_INET, SOCK_DGRAM, if_nameindex, socket
from fcntl import ioctl

_NEW_MOUNTS, _NEW_USER, _NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 0x1 | 0x40
_REQUEST_BYTES = 40


def enclose() -> bool:
    """Give this process, and all that it starts, a user and a network namespace of their own.

    False, and nothing has changed, where the kernel does not let it do so and still make sandboxes. The
    process must have one thread only. Raises OSError when it works only in part: then it must not go on.
    """
    trial = os.fork()
    if trial == 0:
        try:
            _enter()
            _unshare(_NEW_USER | _NEW_MOUNTS)
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitpid(trial, 0)[1] != 0:
        return False
    _enter()
    return True


def _enter() -> None:
    _unshare(_NEW_USER | _NEW_NETWORK)
    request = b"lo".ljust(16, b"\0") + _UP.to_bytes(2, sys.byteorder)
    control = socket(AF_INET, SOCK_DGRAM)
    try:
        ioctl(control.fileno(), _SET_FLAGS, request.ljust(_REQUEST_BYTES, b"\0"))
    finally:
        control.close()
    others = [name for _, name in if_nameindex() if name != "lo"]
    if any(_is_up(name) for name in others):
        raise OSError(1, f"the new network is not empty: {others}")


def _is_up(name: str) -> bool:
    """Some kernels put tunnels that are down into every new network."""
    control = socket(AF_INET, SOCK_DGRAM)
    try:
        found = ioctl(control.fileno(), _GET_FLAGS, name.encode().ljust(_REQUEST_BYTES, b"\0"))
    finally:
        control.close()
    return bool(found[16] & 1)


def _unshare(what: int) -> None:
    """Enter new namespaces, and stay who we are there: files keep their owner."""
    user, group = os.geteuid(), os.getegid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(what) != 0:
        raise OSError(ctypes.get_errno(), "cannot make a namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        fd = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
