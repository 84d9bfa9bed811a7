"""Versions of policies in the ledger's database: written once, never changed, put in force by a row of their own.

What is in force follows from the rows alone: of each name the last change counts. So a rollback is one more row, and
who had which policy at which time can be read for ever. Every change bumps one number, by which gateways notice it, and
which is also the lock: changes are made one after another, in either database.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from routewright.clock import Clock
from routewright.errors import LedgerUnavailable, PolicyNotFound, PolicyRefused, SettingsError
from routewright.ledger.database import Database, Row, Transaction
from routewright.policies.overlay import digest_of, read_overlay, text_of
from routewright.settings.load import POLICY_NAME
from routewright.settings.schema import Overlay

MOST_VERSIONS = 10_000
"""Of all policies together; no more are written."""
MOST_BYTES = 256 * 1024
"""Of an overlay, and of its evidence, as JSON."""
AS_SETTINGS = 0
"""The number that stands for no version: what the settings say of this name is in force."""

Kind: TypeAlias = Literal["apply", "rollback", "off", "on"]

_BUMP = "UPDATE policy_state SET sequence = sequence + 1 WHERE only_row = 1 RETURNING sequence"
_SEQUENCE = "SELECT sequence FROM policy_state"
_COUNT = "SELECT COUNT(*) AS versions FROM policy_versions"
_LAST = "SELECT coalesce(max(number), 0) AS number FROM policy_versions WHERE name = ?"
_VERSIONS = "SELECT * FROM policy_versions"
_ONE = f"{_VERSIONS} WHERE name = ? AND number = ?"
_OF_NAME = f"{_VERSIONS} WHERE name = ? ORDER BY number"
_ALL = f"{_VERSIONS} ORDER BY name, number"
_LATEST_OF_NAME = f"{_VERSIONS} WHERE name = ? ORDER BY number DESC LIMIT ?"
_CHANGES = "SELECT * FROM policy_changes"
_HISTORY = f"{_CHANGES} ORDER BY sequence"
_LATEST_CHANGES = f"{_CHANGES} ORDER BY sequence DESC LIMIT ?"
_STANDING = f"{_CHANGES} WHERE name = ? ORDER BY sequence DESC LIMIT 1"
_IN_FORCE = """
SELECT c.name, c.kind, c.share, v.number, v.at_ns, v.overlay, v.evidence, v.author
FROM policy_changes AS c LEFT JOIN policy_versions AS v ON v.name = c.name AND v.number = c.number
WHERE c.sequence IN (SELECT max(sequence) FROM policy_changes GROUP BY name)
ORDER BY c.name
"""


class Version(Struct, frozen=True, kw_only=True):
    """One version of a policy, as it was written."""

    name: str
    number: int
    """From 1, of each name."""
    at_ns: int
    """UTC nanoseconds since 1970, as everywhere here."""
    overlay: Overlay
    evidence: Mapping[str, Any]
    """What it was found by: for people, and for who checks the promise later. Plain JSON values."""
    author: str
    """Who wrote it: a verb, or a key's name."""

    @property
    def digest(self) -> str:
        """Of its overlay."""
        return digest_of(self.overlay)


class Change(Struct, frozen=True, kw_only=True):
    """One row of the history: which version of a policy was put in force, or that all were switched off or on."""

    sequence: int
    at_ns: int
    kind: Kind
    name: str
    """Empty for the switch."""
    number: int
    """`AS_SETTINGS` for what the settings say."""
    share: float | None
    author: str
    reason: str


class Standing(Struct, frozen=True):
    """A version in force, and its share of the requests in percent; None where there is none of its own."""

    version: Version
    share: float | None


class InForce(Struct, frozen=True):
    """What the ledger says of policies at one moment."""

    sequence: int = 0
    """How many changes there were."""
    is_off: bool = False
    """The base alone decides, whatever else is said."""
    standings: Mapping[str, Standing] = {}
    """By name; a policy that stands as the settings say it is not among them."""
    unreadable: Mapping[str, str] = {}
    """Policies of which a newer routewright wrote the version in force, and why it cannot be read here."""


class PolicyStore:
    """The policies of one database. Any thread may use it; every verb may wait for the disk or the network."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def apply(
        self,
        name: str,
        overlay: Overlay,
        *,
        author: str,
        evidence: Mapping[str, Any] | None = None,
        share: float | None = None,
        reason: str = "",
    ) -> Version:
        """Write a new version and put it in force, in one transaction.

        Under the name of the base it takes the place of the base; under any other it answers who names it, and `share`
        percent of the others; without a share it keeps that of the version before. Raises PolicyRefused for a name or
        share that cannot be, and for too much to keep; StoreUnavailable.
        """
        _check(name, share)
        texts = text_of(overlay), msgspec.json.encode(evidence or {}, order="sorted").decode()
        if any(len(text) > MOST_BYTES for text in texts):
            raise PolicyRefused(f"policy {name}: over {MOST_BYTES >> 10} KiB of it, or of its evidence, is not kept")
        at_ns = self._clock.time_ns()
        with self._database.transaction() as transaction:
            sequence = _bump(transaction)
            if transaction.execute(_COUNT)[0]["versions"] >= MOST_VERSIONS:
                raise PolicyRefused(f"there are {MOST_VERSIONS:,} versions already", hint="roll back to one of them")
            number = transaction.execute(_LAST, name)[0]["number"] + 1
            before = transaction.execute(_STANDING, name)
            columns = ("name", "number", "at_ns", "overlay", "evidence", "author")
            transaction.insert("policy_versions", columns, [(name, number, at_ns, *texts, author)])
            change = Change(
                sequence=sequence,
                at_ns=at_ns,
                kind="apply",
                name=name,
                number=number,
                share=before[0]["share"] if before and share is None else share,
                author=author,
                reason=reason,
            )
            _append(transaction, change)
        return Version(name=name, number=number, at_ns=at_ns, overlay=overlay, evidence=evidence or {}, author=author)

    def rollback(self, name: str, *, author: str, to: int | None = None, reason: str = "") -> Change:
        """Put an older version in force again: the one numbered `to` (`AS_SETTINGS`: what the settings say), else the
        one that was written before the one in force. It keeps the share that the policy has.

        Raises PolicyNotFound when there is no such version, or nothing to go back from, and StoreUnavailable.
        """
        with self._database.transaction() as transaction:
            sequence = _bump(transaction)
            rows = transaction.execute(_STANDING, name)
            if to is None and (not rows or rows[0]["number"] == AS_SETTINGS):
                raise PolicyNotFound(f"policy {name[:64]!r} has no version in force to go back from")
            number = rows[0]["number"] - 1 if to is None else to
            if number != AS_SETTINGS and not transaction.execute(_ONE, name, number):
                raise _not_found(name, number)
            change = Change(
                sequence=sequence,
                at_ns=self._clock.time_ns(),
                kind="rollback",
                name=name,
                number=number,
                share=rows[0]["share"] if rows else None,
                author=author,
                reason=reason,
            )
            _append(transaction, change)
        return change

    def switch(self, *, on: bool, author: str, reason: str = "") -> Change:
        """The kill switch: off, `[policy]` of the settings alone decides for every request. Raises StoreUnavailable."""
        with self._database.transaction() as transaction:
            change = Change(
                sequence=_bump(transaction),
                at_ns=self._clock.time_ns(),
                kind="on" if on else "off",
                name="",
                number=AS_SETTINGS,
                share=None,
                author=author,
                reason=reason,
            )
            _append(transaction, change)
        return change

    def sequence(self) -> int:
        """How many changes there were: one small query. Raises StoreUnavailable."""
        return int(self._database.read(_SEQUENCE)[0]["sequence"])

    def in_force(self) -> InForce:
        """What is in force now. Raises StoreUnavailable."""
        sequence = self.sequence()  # before the rows: a change in between is then seen as one
        rows = self._database.read(_IN_FORCE)
        standings, unreadable = {}, {}
        for row in rows:
            if row["number"] is None:
                continue
            try:
                standings[row["name"]] = Standing(_version(row), row["share"])
            except LedgerUnavailable as error:  # of one policy: the others, and the switch, must be known all the same
                unreadable[row["name"]] = error.message
        is_off = any(row["name"] == "" and row["kind"] == "off" for row in rows)
        return InForce(sequence, is_off, standings, unreadable)

    def versions(self, name: str | None = None) -> list[Version]:
        """All versions, or those of one policy, by name and number.

        Raises StoreUnavailable, and LedgerUnavailable for what a newer routewright wrote.
        """
        rows = self._database.read(_ALL) if name is None else self._database.read(_OF_NAME, name)
        return [_version(row) for row in rows]

    def latest_versions(self, name: str, limit: int) -> list[Version]:
        """The newest `limit` of one policy, newest first. Raises as `versions` does."""
        return [_version(row) for row in self._database.read(_LATEST_OF_NAME, name, limit)]

    def version(self, name: str, number: int) -> Version:
        """One of them. Raises PolicyNotFound, and as `versions` does."""
        rows = self._database.read(_ONE, name, number)
        if not rows:
            raise _not_found(name, number)
        return _version(rows[0])

    def history(self) -> list[Change]:
        """Everything that was put in force, in order. Raises StoreUnavailable."""
        return [msgspec.convert(row, Change) for row in self._database.read(_HISTORY)]

    def latest_changes(self, limit: int) -> list[Change]:
        """The last `limit` of it, newest first. Raises StoreUnavailable."""
        return [msgspec.convert(row, Change) for row in self._database.read(_LATEST_CHANGES, limit)]


def _check(name: str, share: float | None) -> None:
    if not POLICY_NAME.fullmatch(name):
        raise PolicyRefused(
            f"{name[:64]!r} is no name of a policy", hint="1 to 64 small letters, digits, and _ . - between them"
        )
    if share is not None and not 0 <= share <= 100:
        raise PolicyRefused(f"policy {name}: {share:g} is no share", hint="give it in percent, from 0 to 100")


def _bump(transaction: Transaction) -> int:
    """One more change; its row is locked until the transaction ends."""
    return int(transaction.execute(_BUMP)[0]["sequence"])


def _append(transaction: Transaction, change: Change) -> None:
    transaction.insert("policy_changes", Change.__struct_fields__, [msgspec.structs.astuple(change)])


def _version(row: Row) -> Version:
    name, number = row["name"], row["number"]
    try:
        overlay = read_overlay(
            msgspec.json.decode(row["overlay"], type=dict[str, Any]), name=name, shown_as=f"version {number}"
        )
    except SettingsError as error:
        raise LedgerUnavailable(
            f"policy {name}, version {number} cannot be read: {error.message}",
            hint="a newer routewright may have written it: upgrade this",
        ) from error
    return Version(
        name=name,
        number=number,
        at_ns=row["at_ns"],
        overlay=overlay,
        evidence=msgspec.json.decode(row["evidence"], type=dict[str, Any]),
        author=row["author"],
    )


def _not_found(name: str, number: int) -> PolicyNotFound:
    return PolicyNotFound(
        f"policy {name[:64]!r} has no version {number}", hint=f"`routewright policies list {name[:64]}` has them"
    )
