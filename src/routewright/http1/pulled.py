"""Responses that hand nothing on by themselves: relayed by asking for the next bytes."""

from collections.abc import Callable


class Pulled:
    """A base for a `transport.WireResponse`."""

    async def next(self) -> bytes:
        """See `WireResponse.next`."""
        raise NotImplementedError

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        """See `WireResponse.relay`."""
        while data := await self.next():
            if not take(data):
                return False
        return True
