"""The keys in the ledger's database: made, changed, revoked and rotated, each in one transaction.

Every change bumps one number, by which the gateways notice it. No key is ever deleted: the ledger names keys by id, and
a gateway that once had keys must not open to everybody when the last one goes.
"""

import json
import os
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, replace

from routewright.access.format import SECRET_BYTES, is_id, new_id, write_key
from routewright.access.installation import Installation, Signer
from routewright.access.keys import VirtualKey
from routewright.clock import Clock
from routewright.errors import InvalidRequest, KeyNotFound, LedgerUnavailable, SettingsError
from routewright.ledger.database import Database, Row, Transaction, Value
from routewright.secret import Secret

MOST_KEYS = 100_000
"""Revoked ones included."""

_COLUMNS = VirtualKey.__struct_fields__
_LISTS = ("tags", "roles", "models", "tiers", "budgets")
_MUTABLE = tuple(name for name in _COLUMNS if name not in ("id", "created_at_ns"))

_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM virtual_keys"  # noqa: S608 own constants
_BY_ID = f"{_SELECT} WHERE id = ?"
_ALL = f"{_SELECT} ORDER BY created_at_ns, id"
_NEWER = f"{_SELECT} WHERE version > ?"
_UPDATE = f"UPDATE virtual_keys SET {', '.join(f'{name} = ?' for name in _MUTABLE)}, version = ? WHERE id = ?"  # noqa: S608 own
_NAMES = "SELECT id, name FROM virtual_keys"
_BUMP = "UPDATE access_state SET version = version + 1 WHERE only_row = 1 RETURNING version, fingerprint"
_STATE = "SELECT version, fingerprint FROM access_state"
_SIGNED = "UPDATE access_state SET fingerprint = ? WHERE only_row = 1"
_COUNT = "SELECT COUNT(*) AS keys FROM virtual_keys"


class State(Struct, frozen=True):
    """How far the keys have come."""

    version: int
    """How many changes there were."""
    fingerprint: str | None
    """Of the secret that their HMACs are made with; None before there is any key."""


class Issued(Struct, frozen=True):
    """A key and its text, which is known only now."""

    key: VirtualKey
    text: Secret


def key_names(database: Database) -> dict[str, str]:
    """What each key is called, by its id. Raises StoreUnavailable."""
    return {row["id"]: row["name"] for row in database.read(_NAMES)}


class Keyring:
    """The keys of one database. Any thread may use it; every verb may wait for the disk or the network."""

    def __init__(
        self,
        database: Database,
        installation: Installation,
        clock: Clock,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._installation = installation
        self._clock = clock
        self._random_bytes = random_bytes

    def create(self, wish: VirtualKey) -> Issued:
        """A new key with what `wish` says; its id, time and HMAC are made here.

        Raises InvalidRequest when there are too many already, SettingsError when the installation's secret cannot be
        used, StoreUnavailable.
        """
        return self.create_all([wish])[0]

    def create_all(self, wishes: Sequence[VirtualKey]) -> Sequence[Issued]:
        """All of these new keys, or none. Raises as `create` does."""
        signer, made = self._installation.signer(), []
        for wish in wishes:
            key_id = new_id(self._random_bytes(16))
            text = write_key(key_id, self._random_bytes(SECRET_BYTES))
            key = replace(wish, id=key_id, created_at_ns=self._clock.time_ns(), hmac=signer.sign(text))
            made.append(Issued(key, Secret(text)))
        with self._database.transaction() as transaction:
            version = _bump(transaction, signer, self._installation.place)
            if transaction.execute(_COUNT)[0]["keys"] + len(made) > MOST_KEYS:
                raise InvalidRequest(f"there are {MOST_KEYS:,} keys already", hint="change or rotate one of them")
            rows = [(*_values(issued.key, _COLUMNS), version) for issued in made]
            transaction.insert("virtual_keys", (*_COLUMNS, "version"), rows)
        return made

    def installation_signer(self) -> Signer:
        """By the installation's secret, which is made if there is none yet. Raises SettingsError."""
        return self._installation.signer()

    def list(self) -> list[VirtualKey]:
        """All keys, the oldest first. Raises StoreUnavailable."""
        return [_key(row) for row in self._database.read(_ALL)]

    def get(self, key_id: str) -> VirtualKey:
        """One key. Raises KeyNotFound, StoreUnavailable."""
        return _found(self._database.read(_BY_ID, key_id) if is_id(key_id) else [], key_id)

    def change(self, key_id: str, make: Callable[[VirtualKey], VirtualKey]) -> VirtualKey:
        """Have `make` give the key as it is to be; its id, time and HMACs stay.

        Raises KeyNotFound, StoreUnavailable, and whatever `make` raises, and has then changed nothing.
        """

        def changed(key: VirtualKey) -> VirtualKey:
            return replace(
                make(key),
                id=key.id,
                created_at_ns=key.created_at_ns,
                hmac=key.hmac,
                previous_hmac=key.previous_hmac,
                previous_until_ns=key.previous_until_ns,
            )

        return self._update(key_id, changed, None)

    def revoke(self, key_id: str) -> VirtualKey:
        """Take a key out of use, for ever; doing it again changes nothing. Raises KeyNotFound, StoreUnavailable."""
        now_ns = self._clock.time_ns()
        return self._update(key_id, lambda key: replace(key, revoked_at_ns=key.revoked_at_ns or now_ns), None)

    def rotate(self, key_id: str, grace_s: float = 0) -> Issued:
        """Give a key a new secret; the old text is taken for `grace_s` seconds more, unless the key is revoked.

        Raises KeyNotFound, InvalidRequest for a revoked key, SettingsError, StoreUnavailable.
        """
        signer = self._installation.signer()
        text = write_key(key_id, self._random_bytes(SECRET_BYTES)) if is_id(key_id) else ""
        until_ns = self._clock.time_ns() + round(grace_s * 1e9)

        def rotated(key: VirtualKey) -> VirtualKey:
            if key.revoked_at_ns is not None:
                raise InvalidRequest(f"the key {key.id} is revoked", hint="create another one")
            previous = (key.hmac, until_ns) if grace_s else (None, None)
            return replace(key, hmac=signer.sign(text), previous_hmac=previous[0], previous_until_ns=previous[1])

        return Issued(self._update(key_id, rotated, signer), Secret(text))

    def state(self) -> State:
        """How far the keys have come. Raises StoreUnavailable."""
        return msgspec.convert(self._database.read(_STATE)[0], State)

    def changed_since(self, version: int) -> Sequence[VirtualKey]:
        """The keys that were made or changed after that state. Raises StoreUnavailable."""
        return [_key(row) for row in self._database.read(_NEWER, version)]

    def signer(self, state: State) -> Signer | None:
        """What the keys of this state are checked with; None as long as there are none.

        Raises SettingsError when this installation's secret is not the one that they were made with.
        """
        if state.fingerprint is None:
            return None
        signer = self._installation.existing()
        if signer is None or signer.fingerprint != state.fingerprint:
            raise _foreign_secret(signer, self._installation.place)
        return signer

    def _update(self, key_id: str, make: Callable[[VirtualKey], VirtualKey], signer: Signer | None) -> VirtualKey:
        if not is_id(key_id):
            raise _not_found(key_id)
        with self._database.transaction() as transaction:
            version = _bump(transaction, signer, self._installation.place)  # first: it is the lock
            key = make(_found(transaction.execute(_BY_ID, key_id), key_id))
            transaction.execute(_UPDATE, *_values(key, _MUTABLE), version, key_id)
        return key


def _bump(transaction: Transaction, signer: Signer | None, place: str) -> int:
    """One more change; whoever signs must have the secret that all others signed with."""
    state = msgspec.convert(transaction.execute(_BUMP)[0], State)
    if signer is not None:
        if state.fingerprint is None:
            transaction.execute(_SIGNED, signer.fingerprint)
        elif state.fingerprint != signer.fingerprint:
            raise _foreign_secret(signer, place)
    return state.version


def _foreign_secret(signer: Signer | None, place: str) -> SettingsError:
    problem = "there is none" if signer is None else f"that of {place} is another one"
    return SettingsError(
        f"virtual keys were made with another secret of the installation: {problem} (the fingerprints differ)",
        hint=f"bring the secret back to {place}, or set the same access.secret for every process of this ledger",
    )


def _values(key: VirtualKey, columns: Sequence[str]) -> tuple[Value, ...]:
    values = dict(zip(_COLUMNS, astuple(key), strict=True))
    return tuple(_text(values[name]) if name in _LISTS else values[name] for name in columns)


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _key(row: Row) -> VirtualKey:
    read = {name: json.loads(row[name]) for name in _LISTS}
    try:
        return msgspec.convert({**row, **read}, VirtualKey)
    except msgspec.ValidationError as error:
        raise LedgerUnavailable(
            f"the key {row['id']} cannot be read ({error})",
            hint="a newer routewright may have written it: upgrade this",
        ) from error


def _found(rows: Sequence[Row], key_id: str) -> VirtualKey:
    if not rows:
        raise _not_found(key_id)
    return _key(rows[0])


def _not_found(key_id: str) -> KeyNotFound:
    return KeyNotFound(f"there is no key with the id {key_id[:20]!r}", hint="`routewright keys list` has the ids")
