"""Responses from which a later request may go on (`previous_response_id`), kept in memory, whoever made them.

Each is kept with all that was said before it, so it stands alone: when the oldest go, no conversation breaks but
theirs, and the bytes that are counted are the bytes that are held.
"""

from collections import OrderedDict

from msgspec import Struct

KEPT_FOR_S = 86_400.0
MOST_RESPONSES = 10_000
MOST_RESPONSE_BYTES = 16 * 1024 * 1024
MOST_BYTES = 128 * 1024 * 1024
"""Of all together; beyond it, and beyond `MOST_RESPONSES`, the oldest go."""


class Kept(Struct, frozen=True):
    """A response, and what it answered."""

    id: str
    response: bytes
    """JSON, as its client got it."""
    input: bytes
    """JSON: all items that it answered, those of earlier turns included."""
    items: tuple[str, ...]
    """The ids of what it said."""
    at: float

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.response) + len(self.input)


class KeptResponses:
    """By who pays and by id, oldest first. Nobody sees another's. `now` is in monotonic seconds."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Kept] = OrderedDict()
        self._by_item: dict[tuple[str, str], Kept] = {}
        self._bytes = 0

    def keep(self, owner: str, kept: Kept) -> None:
        """Keep a response; one that is too long is not kept."""
        self.forget(owner, kept.id)
        if kept.size > MOST_RESPONSE_BYTES:
            return
        self._kept[owner, kept.id] = kept
        self._by_item |= {(owner, name): kept for name in kept.items}
        self._bytes += kept.size
        while len(self._kept) > MOST_RESPONSES or self._bytes > MOST_BYTES:
            self.forget(*next(iter(self._kept)))

    def find(self, owner: str, response_id: str, now: float) -> Kept | None:
        """A response that is kept still."""
        self._drop_old(now)
        return self._kept.get((owner, response_id))

    def holder(self, owner: str, item_id: str, now: float) -> Kept | None:
        """The response that said this item, if it is kept still."""
        self._drop_old(now)
        return self._by_item.get((owner, item_id))

    def forget(self, owner: str, response_id: str) -> bool:
        """Whether there was one."""
        kept = self._kept.pop((owner, response_id), None)
        if kept is None:
            return False
        self._bytes -= kept.size
        for name in kept.items:
            if self._by_item.get((owner, name)) is kept:
                del self._by_item[owner, name]
        return True

    def _drop_old(self, now: float) -> None:
        while self._kept:
            name, kept = next(iter(self._kept.items()))
            if kept.at + KEPT_FOR_S > now:
                return
            self.forget(*name)
