"""What of a job was sent to providers' batch APIs: noted before it is sent, so that nothing is sent twice."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from routewright.jobs.job import Job
from routewright.jobs.store import PAGE
from routewright.ledger.database import Database


class PartState(StrEnum):
    """How far a file is."""

    INTENDED = "intended"
    """It is being sent, or was when the process ended: the provider knows whether it has it."""
    BEGUN = "begun"
    OVER = "over"
    """Its answers are here, or there will be none."""


class Part(Struct, frozen=True, kw_only=True):
    """One file of a job at one provider."""

    number: int
    deployment: str
    batch_id: str = ""
    """The provider's own; empty until it is known."""
    state: PartState = PartState.INTENDED

    def name(self, job: Job) -> str:
        """By which a provider that keeps names can be asked for it."""
        return f"{job.id}-{self.number}"


class PartStore:
    """The parts of jobs in one database. Raises StoreUnavailable from every verb."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, job: Job) -> list[Part]:
        """In the order in which they were sent."""
        sql = "SELECT number, deployment, batch_id, state FROM batch_parts WHERE job = ? ORDER BY number"
        return [Part(**{**row, "state": PartState(row["state"])}) for row in self._database.read(sql, job.number)]

    def intend(self, job: Job, part: Part, attempts: Mapping[int, str]) -> None:
        """Note that these items are about to be sent, each position with its attempt's id."""
        with self._database.transaction() as transaction:
            columns = ("job", "number", "deployment", "batch_id", "state")
            transaction.insert("batch_parts", columns, [(job.number, part.number, part.deployment, "", part.state)])
            rows = [(job.number, position, part.number, attempt_id) for position, attempt_id in attempts.items()]
            transaction.insert("batch_sent", ("job", "position", "part", "attempt_id"), rows)

    def note(self, job: Job, part: Part) -> None:
        """How it stands now."""
        with self._database.transaction() as transaction:
            sql = "UPDATE batch_parts SET batch_id = ?, state = ? WHERE job = ? AND number = ?"
            transaction.execute(sql, part.batch_id, part.state, job.number, part.number)

    def forget_items(self, job: Job, part: Part) -> None:
        """A file never came to be at its provider: its items can be sent again, in another one."""
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM batch_sent WHERE job = ? AND part = ?", job.number, part.number)

    def open(self, job: Job) -> list[Part]:
        """Those that are not over."""
        return [part for part in self.all(job) if part.state is not PartState.OVER]

    def sent(self, job: Job, after: int = -1, limit: int = PAGE) -> list[int]:
        """The positions of items that were sent at some time, or were about to be, in order, behind a position."""
        sql = "SELECT position FROM batch_sent WHERE job = ? AND position > ? ORDER BY position LIMIT ?"
        return [row[0] for row in self._database.read_plain(sql, job.number, after, limit)]

    def attempts(self, job: Job, part: Part) -> dict[int, str]:
        """The items of one file, by position, each with its attempt's id."""
        sql = "SELECT position, attempt_id FROM batch_sent WHERE job = ? AND part = ? ORDER BY position"
        return {row[0]: row[1] for row in self._database.read_plain(sql, job.number, part.number)}
