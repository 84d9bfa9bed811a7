"""Name servers that are late, or know no such name: the system's own resolver asks them, in namespaces of our own.

`met_by(scene, folder)` runs a function of this module, by its name, where `/etc/resolv.conf` names a server of ours on
a network that has nothing but a loopback; that takes no right where user namespaces are allowed. What it prints comes
back from JSON.
"""

import asyncio
import fcntl
import json
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from beats import beats
from lab import lab, model

LATE_S = 10.0
SPACES = ("unshare", "--user", "--map-root-user", "--mount", "--net")
SETTINGS = "\n".join(
    f'[providers.{name}]\nbase_url = "http://{name}.example:{{port}}/v1"\napi_key = "env:LAB_KEY"'
    for name in ("late", "gone", "here")
)
CONNECT_S = 0.4
POLICY = f"max_retry_attempts = 0\nconnect_timeout_ms = {round(CONNECT_S * 1000)}"
UNLUCKY = 16
"""Each looks for two kinds of address: so many took all threads that libcurl has for lookups."""


class NameServer(asyncio.DatagramProtocol):
    """`here.…` is this machine, `late.…` too but that takes ten seconds, and there is no other name."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        name = _name_in(data).split(".")[0]
        self.asked.append(name)
        delay_s = LATE_S if name == "late" else 0.0
        asyncio.get_running_loop().call_later(delay_s, self._answer, data, name, address)

    def _answer(self, query: bytes, name: str, address: Any) -> None:
        question = query[12 : query.index(b"\0", 12) + 5]
        is_there = name in ("here", "late")
        is_address = question[-4:-2] == b"\0\1"  # of the fourth version; of the sixth there is none
        head = query[:2] + struct.pack("!HHHHH", 0x8180 if is_there else 0x8183, 1, int(is_there and is_address), 0, 0)
        record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton("127.0.0.1")
        self._transport.sendto(head + question + (record if is_there and is_address else b""), address)


def _name_in(query: bytes) -> str:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels)


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    """On the port where every resolver looks for one."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, ("127.0.0.1", 53))
    try:
        yield server
    finally:
        transport.close()


# ---- scenes


async def names_that_fail(home: Path) -> None:
    """Many ask for places whose names are late or not there, while others ask for one that is."""
    models = [model(name, f"{name}/{name}", fallbacks=["ok"], first_event_timeout_ms=3000) for name in ("late", "gone")]
    there = model("here", "here/here", first_event_timeout_ms=3000)
    async with name_server() as server, lab(home, *models, there, settings=SETTINGS, policy=POLICY) as it:
        async with beats() as meanwhile:
            unlucky = []
            for name in ["late"] * UNLUCKY + ["gone"]:
                unlucky.append(asyncio.create_task(it.ask(name)))
                await asyncio.sleep(0.01)  # all at once, and all over at once, would be work enough to be late
            others = [await it.ask("here") for _ in range(20)]
            *late, gone = await asyncio.gather(*unlucky)
        rows = await it.audit(most_attempts=10 * UNLUCKY)
        print(  # noqa: T201 - whoever started this reads it
            json.dumps(
                {
                    "asked": sorted(set(server.asked)),
                    "late": max(each.seconds for each in late),
                    "gone": gone.seconds,
                    "fell_back": sum(each.headers.get("x-routewright-model") == "ok" for each in late),
                    "others": sum(each.is_complete for each in others),
                    "lag_s": meanwhile.lag_s,
                    "outcomes": sorted({str(row.outcome) for row in rows if row.kind == "released"}),
                }
            ),
            flush=True,
        )


# ---- where they are played


def met_by(scene: Any, home: Path) -> Any:
    """What a scene met. Raises CalledProcessError, OSError where there can be no namespaces."""
    command = [*SPACES, sys.executable, __file__, scene.__name__, str(home)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def can_be_played() -> bool:
    """Whether this machine lets us have namespaces of our own."""
    try:
        return subprocess.run([*SPACES, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def _settle_in(home: Path) -> None:
    """A resolver that asks us, in a network with a loopback."""
    for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n")):
        (home / name).write_text(text)
        subprocess.run(["mount", "--bind", str(home / name), f"/etc/{name}"], check=True)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        up = struct.pack("16sh", b"lo", 1)  # IFF_UP
        fcntl.ioctl(any_socket, 0x8914, up)  # SIOCSIFFLAGS


if __name__ == "__main__":
    _settle_in(Path(sys.argv[2]))
    asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
