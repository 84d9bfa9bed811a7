"""How a gateway behind a proxy leaves without losing a request: the part that is about its listening socket.

A listening socket that is closed resets what the kernel has connected and nobody has accepted yet, and a proxy rightly
does not send such a request anywhere else: it may have been read. So first nobody new is let knock, then all who have
are let in, and only then it is closed.
"""

import contextlib
import ctypes
import socket
import struct
import sys

LET_IN_S = 0.25
"""For connections that are under way when no new ones are taken: a round trip, and a turn of the event loop."""

_SO_ATTACH_FILTER = 26
# Classic BPF over a segment, which begins with the TCP header: drop it if of SYN and ACK it has only SYN. Who sent it
# sends it again, after a second at the earliest, and is then refused, by which he knows that nothing was read.
_DROP_NEW = (
    (0x30, 0, 0, 13),  # ldb [13]: the flags
    (0x54, 0, 0, 0x12),  # and #(SYN|ACK)
    (0x15, 0, 1, 0x02),  # jeq #SYN, else skip one
    (0x06, 0, 0, 0),  # ret 0: drop
    (0x06, 0, 0, 0xFFFFFFFF),  # ret all: keep
)


def take_no_more(listener: socket.socket) -> None:
    """Leave unanswered whoever begins to connect from now on; those who have begun still get in.

    Only Linux can do that. Elsewhere nothing happens, and what comes in the instant of closing is reset.
    """
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _DROP_NEW))
    program = struct.pack("HP", len(_DROP_NEW), ctypes.addressof(code))
    with contextlib.suppress(OSError):  # a kernel or a sandbox without filters
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
