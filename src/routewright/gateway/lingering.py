"""How a gateway behind a proxy leaves without losing a request: the part that is about its listening socket.

A listening socket that is closed resets what the kernel has connected and nobody has accepted yet, as does a connection
that is closed with bytes on it that nobody has read; and a proxy rightly does not send such a request anywhere else: it
may have been read. So first nobody new is let knock, then all who have are let in and listened to, and only then the
door is closed.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
import time
from collections.abc import Sequence

LET_IN_S = 0.25
"""For connections that are under way when no new ones are taken, and for the first bytes on them."""
MOST_LET_IN_S = 10.0
"""Until all of them are accepted, by an event loop that is late."""
TURNS, TURN_S = 5, 0.02
"""Of the event loop, in which it reads what has come on those that it has just accepted."""

_SO_ATTACH_FILTER = 26
_TCP_INFO, _UNACKED_AT = 11, 24
"""Of a listening socket, `tcpi_unacked` is how many connections wait to be accepted."""
# Classic BPF over a segment, which begins with the TCP header: drop it if of SYN and ACK it has only SYN. Who sent it
# sends it again, after a second at the earliest, and is then refused, by which he knows that nothing was read.
_DROP_NEW = (
    (0x30, 0, 0, 13),  # ldb [13]: the flags
    (0x54, 0, 0, 0x12),  # and #(SYN|ACK)
    (0x15, 0, 1, 0x02),  # jeq #SYN, else skip one
    (0x06, 0, 0, 0),  # ret 0: drop
    (0x06, 0, 0, 0xFFFFFFFF),  # ret all: keep
)


async def let_in(listeners: Sequence[socket.socket]) -> None:
    """Return when the sockets can be closed without resetting a connection: nobody new knocks, and all are in."""
    for listener in listeners:
        take_no_more(listener)
    await asyncio.sleep(LET_IN_S)
    gives_up_at = time.monotonic() + MOST_LET_IN_S
    while any(map(waiting, listeners)) and time.monotonic() < gives_up_at:  # noqa: ASYNC110 it is the kernel that tells
        await asyncio.sleep(TURN_S)
    for _ in range(TURNS):
        await asyncio.sleep(TURN_S)


def waiting(listener: socket.socket) -> int:
    """Connections that the kernel has taken and nobody has accepted; 0 where it does not tell."""
    if not _is_known(listener):
        return 0
    info = listener.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _UNACKED_AT + 4)
    return int.from_bytes(info[_UNACKED_AT : _UNACKED_AT + 4], sys.byteorder)


def take_no_more(listener: socket.socket) -> None:
    """Leave unanswered whoever begins to connect from now on; those who have begun still get in.

    Only Linux can do that. Elsewhere nothing happens, and what comes in the instant of closing is reset.
    """
    if not _is_known(listener):
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _DROP_NEW))
    program = struct.pack("HP", len(_DROP_NEW), ctypes.addressof(code))
    with contextlib.suppress(OSError):  # a kernel or a sandbox without filters
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _is_known(listener: socket.socket) -> bool:
    return sys.platform == "linux" and listener.family in (socket.AF_INET, socket.AF_INET6)
