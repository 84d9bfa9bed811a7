"""Requests with virtual keys, for labs before real `serve` processes."""

import asyncio
from pathlib import Path

from routewright.access.keys import VirtualKey
from routewright.proofs.kills import HEAD
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource


def make_keys(home: Path, count: int) -> list[str]:
    """The texts of so many virtual keys, for the gateway that has its settings and its ledger there."""
    runtime = Runtime.open(SettingsSource(environ={"HOME": str(home)}, cwd=home))
    made = [
        runtime.keyring.create(VirtualKey(id="", name=f"key {number}", created_at_ns=0, hmac="")).text.reveal()
        for number in range(count)
    ]
    asyncio.run(runtime.close())
    return made


def keyed(key: str, model: str, words: str, *, stream: bool = False, max_tokens: int = 64) -> bytes:
    """A good request by the holder of a key."""
    body = b'{"model":"%b","messages":[{"role":"user","content":"%b"}],"max_tokens":%d,"stream":%b}' % (
        model.encode(),
        words.encode(),
        max_tokens,
        b"true" if stream else b"false",
    )
    head = (HEAD % len(body)).removesuffix(b"\r\n")
    return head + b"authorization: Bearer %b\r\n\r\n" % key.encode() + body
