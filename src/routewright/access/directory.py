"""The keys as a gateway has them: all in memory, checked in constant time, following the database twice a second.

A revocation anywhere is thus effective everywhere within a second. When the database does not answer, what is known
stays in force; after `STALE_AFTER_S` keys with a hard budget are refused, since whoever leads the purse may have taken
them back, while keys without one, and the operator's own, go on.
"""

import asyncio
import hmac
import logging
import os
from collections.abc import Callable, Mapping
from threading import Lock

from msgspec import Struct

from routewright.access.format import KEY_CHARS, read_id
from routewright.access.installation import Signer
from routewright.access.keyring import Keyring
from routewright.access.keys import Caller, VirtualKey
from routewright.clock import Clock
from routewright.errors import AccessUnavailable, LedgerUnavailable, SettingsError, StoreUnavailable, Unauthorized
from routewright.ledger.budgets import Budget
from routewright.tenant import NOBODY, Tenant

log = logging.getLogger(__name__)

FOLLOW_EVERY_S = 0.5
STALE_AFTER_S = 60.0

_NO_HMAC = "0" * 64
"""Compared with where there is nothing to compare with, so that this takes as long."""


class _Entry(Struct, frozen=True):
    key: VirtualKey
    caller: Caller


class _Known(Struct, frozen=True):
    """What belongs together and changes together."""

    version: int
    signer: Signer
    entries: Mapping[str, _Entry]


class Directory:
    """Knows every key. `find` is for the event loop; `refresh` may wait, and is for a thread."""

    def __init__(self, keyring: Keyring, clock: Clock) -> None:
        self._keyring = keyring
        self._clock = clock
        self._known = _Known(0, Signer(os.urandom(32)), {})
        self._refreshing = Lock()
        self._in_contact_at = clock.monotonic()
        self._callbacks: list[Callable[[tuple[Budget, ...]], None]] = []

    @property
    def has_keys(self) -> bool:
        """Whether there ever was a key: from then on nobody gets in without one."""
        return bool(self._known.entries)

    def find(self, text: str) -> Caller | None:
        """The holder of the key with this text; None, after the same work, for any text that is not a valid one.

        Raises AccessUnavailable for a metered key while the database has not answered for too long.
        """
        if len(text) != KEY_CHARS or (key_id := read_id(text)) is None:
            return None
        known, now_ns = self._known, self._clock.time_ns()
        entry = known.entries.get(key_id)
        current, previous = _NO_HMAC, _NO_HMAC
        if entry is not None:
            current = entry.key.hmac
            if (entry.key.previous_until_ns or 0) > now_ns:
                previous = entry.key.previous_hmac or _NO_HMAC
        given = known.signer.sign(text)
        is_right = hmac.compare_digest(given, current) | hmac.compare_digest(given, previous)
        if entry is None or not is_right or entry.key.state(now_ns) != "active":
            return None
        if entry.key.is_metered:
            self._check_contact()
        return entry.caller

    def tenant(self, key_id: str) -> Tenant:
        """Who pays for what was begun with the key of this id; without one, nobody in particular.

        Raises Unauthorized when the key is not valid any more, AccessUnavailable as `find` does.
        """
        if not key_id:
            return NOBODY
        entry = self._known.entries.get(key_id)
        if entry is None or entry.key.state(self._clock.time_ns()) != "active":
            raise Unauthorized(f"the key {key_id} is not valid any more")
        if entry.key.is_metered:
            self._check_contact()
        return entry.caller.tenant

    def holder(self, key_id: str) -> Caller | None:
        """Who has the key of this id, as long as it is active."""
        entry = self._known.entries.get(key_id)
        return entry.caller if entry is not None and entry.key.state(self._clock.time_ns()) == "active" else None

    def all_keys(self) -> list[VirtualKey]:
        """All there ever were, the newest first."""
        entries = self._known.entries.values()
        return sorted((entry.key for entry in entries), key=lambda key: (key.created_at_ns, key.id), reverse=True)

    def seal(self, key_id: str) -> str | None:
        """What is another one once the key has another text: its HMAC. None without such a key."""
        entry = self._known.entries.get(key_id)
        return None if entry is None else entry.key.hmac

    def _check_contact(self) -> None:
        silent_s = self._clock.monotonic() - self._in_contact_at
        if silent_s > STALE_AFTER_S:
            raise AccessUnavailable(f"the keys could not be read for {silent_s:.0f} s; keys with a budget must wait")

    def budgets(self) -> tuple[Budget, ...]:
        """The budgets of all keys that may still be used."""
        return self._budgets(self._known)

    def _budgets(self, known: _Known) -> tuple[Budget, ...]:
        now_ns = self._clock.time_ns()
        live = [entry.key for entry in known.entries.values() if entry.key.state(now_ns) != "revoked"]
        return tuple(budget for key in live for budget in key.charged())

    def on_change(self, callback: Callable[[tuple[Budget, ...]], None]) -> None:
        """Have `callback(budgets)` called at every change of the keys, from the thread that refreshes.

        It is called before the change takes effect: nobody is let in whose budget is not kept yet.
        """
        self._callbacks.append(callback)

    def refresh(self) -> bool:
        """Read what has changed, and say whether anything has.

        Raises StoreUnavailable, LedgerUnavailable for a key that a newer routewright wrote, and SettingsError if the
        keys cannot be checked with this installation's secret; what was known then stays in force.
        """
        with self._refreshing:
            asked_at = self._clock.monotonic()
            state, known = self._keyring.state(), self._known
            if state.version == known.version:
                self._in_contact_at = asked_at
                return False
            if state.version < known.version:  # the database was brought back from a backup: nothing known counts
                known = _Known(0, known.signer, {})
            signer = self._keyring.signer(state) or known.signer
            changed = {key.id: _Entry(key, key.caller()) for key in self._keyring.changed_since(known.version)}
            known = _Known(state.version, signer, {**known.entries, **changed})
            for callback in self._callbacks:
                callback(self._budgets(known))
            self._known = known
            self._in_contact_at = asked_at
        return True

    async def follow(self) -> None:
        """Keep up for as long as it is awaited."""
        told = ""
        while True:
            await asyncio.sleep(FOLLOW_EVERY_S)
            try:
                await asyncio.to_thread(self.refresh)
            except (StoreUnavailable, LedgerUnavailable, SettingsError) as error:
                if error.message != told:
                    log.error("the keys cannot be read, those known stay in force: %s", error.message)
                told = error.message
            else:
                told = ""
