"""Jobs and items in the ledger's database. All verbs may be repeated; any thread may use them, and may wait in them.

An item has a row from the time its job was read, and a result as soon as it is decided; a result is written once and
never changed. So what is left to do is what has no result, whoever died meanwhile. A result says where the item's line
is in the job's files, and is only written when that line is on the disk: see `output`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict

from routewright.errors import JobNotFound, JobRefused
from routewright.jobs.job import (
    COMPLETE,
    REOPENED,
    TRANSITIONS,
    Counts,
    Item,
    ItemResult,
    Job,
    JobState,
    JobSummary,
    Share,
)
from routewright.ledger.database import Database, Row, Value

PAGE = 1_000
"""Rows that are read at once."""

_COLUMNS = tuple(name for name in Job.__struct_fields__ if name != "number")
_RESULT_COLUMNS = (
    "job",
    "position",
    "outcome",
    "request_id",
    "model",
    "tier",
    "cost_nanousd",
    "is_estimated",
    "baseline_nanousd",
    "line_offset",
    "line_length",
)

_SELECT = f"SELECT number, {', '.join(_COLUMNS)} FROM batch_jobs"  # noqa: S608 own constants
_LINK = """
UPDATE batch_items SET twin_of = (
    SELECT min(o.position) FROM batch_items AS o WHERE o.job = batch_items.job AND o.digest = batch_items.digest
)
WHERE job = ? AND digest IS NOT NULL AND EXISTS (
    SELECT 1 FROM batch_items AS o
    WHERE o.job = batch_items.job AND o.digest = batch_items.digest AND o.position < batch_items.position
)
"""
_REPEATED = """
SELECT custom_id, min(position) AS first, max(position) AS last FROM batch_items
WHERE job = ? GROUP BY custom_id HAVING count(*) > 1 ORDER BY min(position) LIMIT 1
"""
_UNDECIDED = """
SELECT i.position, i.custom_id, i.twin_of FROM batch_items AS i
WHERE i.job = ? AND i.position > ? AND i.twin_of IS {which}
  AND NOT EXISTS (SELECT 1 FROM batch_results AS r WHERE r.job = i.job AND r.position = i.position)
ORDER BY i.position LIMIT ?
"""
_COUNTS = """
SELECT count(*) FILTER (WHERE outcome = 'complete') AS completed,
       count(*) FILTER (WHERE outcome <> 'complete') AS failed,
       CAST(coalesce(sum(cost_nanousd), 0) AS BIGINT) AS cost_nanousd
FROM batch_results WHERE job = ?
"""
_SHARES = """
SELECT r.model, coalesce(r.tier, '') AS tier, count(*) FILTER (WHERE r.outcome = 'complete') AS completed,
       count(*) FILTER (WHERE r.outcome <> 'complete') AS failed,
       count(*) FILTER (WHERE r.outcome = 'complete' AND i.twin_of IS NOT NULL) AS twins,
       CAST(coalesce(sum(r.cost_nanousd), 0) AS BIGINT) AS cost_nanousd,
       CAST(coalesce(sum(r.baseline_nanousd), 0) AS BIGINT) AS baseline_nanousd,
       CAST(coalesce(sum(r.cost_nanousd) FILTER (WHERE r.baseline_nanousd IS NOT NULL), 0) AS BIGINT)
           AS compared_nanousd,
       CAST(coalesce(sum(l.cost_nanousd), 0) AS BIGINT) AS saved_nanousd
FROM batch_results AS r JOIN batch_items AS i ON i.job = r.job AND i.position = r.position
LEFT JOIN batch_results AS l ON l.job = i.job AND l.position = i.twin_of
WHERE r.job = ? GROUP BY r.model, coalesce(r.tier, '') ORDER BY r.model, coalesce(r.tier, '')
"""
_IN_ORDER = """
UPDATE batch_results SET line_offset = placed.line_offset FROM (
    SELECT position, sum(line_length) OVER (ORDER BY position) - line_length AS line_offset
    FROM batch_results WHERE job = ?
) AS placed
WHERE batch_results.job = ? AND batch_results.position = placed.position
"""
_ORDERED_BYTES = """
UPDATE batch_jobs SET output_bytes = (SELECT coalesce(sum(line_length), 0) FROM batch_results WHERE job = ?)
WHERE number = ?
"""
_RESULTS = "SELECT * FROM batch_results WHERE job = ? AND position > ? ORDER BY position LIMIT ?"
_OLDEST = """
{select} WHERE ended_at_ns < ? AND EXISTS (SELECT 1 FROM batch_items AS i WHERE i.job = batch_jobs.number)
ORDER BY number LIMIT 1
"""
_NEXT_ITEMS = "SELECT position FROM batch_items WHERE job = ? ORDER BY position LIMIT ?"
_RESULT = "SELECT * FROM batch_results WHERE job = ? AND position = ?"


class Undecided(NamedTuple):
    """An item without a result."""

    position: int
    custom_id: str
    twin_of: int | None
    """The first item that asks the same; None where this is the first."""


class JobStore:
    """The jobs of one database. Raises StoreUnavailable from every verb."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def database(self) -> Database:
        """Where they are."""
        return self._database

    # -- jobs

    def create(self, job: Job) -> Job:
        """A new job, with its number."""
        with self._database.transaction() as transaction:
            transaction.take_turn()
            number = transaction.execute("SELECT coalesce(max(number), 0) + 1 AS number FROM batch_jobs")[0]["number"]
            transaction.insert("batch_jobs", ("number", *_COLUMNS), [(number, *_values(job))])
        return self.get(job.id)

    def get(self, job_id: str) -> Job:
        """One job. Raises JobNotFound."""
        return _found(self._database.read(f"{_SELECT} WHERE id = ?", job_id), job_id)

    def latest(self, output: str) -> Job | None:
        """The newest job that writes to a file; None if there never was any."""
        rows = self._database.read(f"{_SELECT} WHERE output = ? ORDER BY number DESC LIMIT 1", output)
        return _job(rows[0]) if rows else None

    def jobs(self, limit: int, before: int | None = None, key: str | None = None) -> list[Job]:
        """The newest first; `before` is a job's number to go on from, `key` whose jobs alone to tell."""
        bindings: list[Value] = [2**62 if before is None else before]
        wanted = "number < ?"
        if key is not None:
            bindings.append(key)
            wanted += " AND key = ?"
        sql = f"{_SELECT} WHERE {wanted} ORDER BY number DESC LIMIT ?"
        return [_job(row) for row in self._database.read(sql, *bindings, limit)]

    def move(self, job: Job, to: JobState, *, at_ns: int) -> Job:
        """Bring a job into another state, as of a time; one that is there already stays as it is.

        Raises JobRefused when it has gone elsewhere meanwhile, from where that is not reached.
        """
        with self._database.transaction() as transaction:
            transaction.take_turn()
            now = _found(transaction.execute(f"{_SELECT} WHERE id = ?", job.id), job.id)
            if now.state is to:
                return now
            if to not in TRANSITIONS[now.state]:
                raise JobRefused(f"{job.id} is {now.state}, and so cannot become {to}")
            begun = at_ns if to is JobState.IN_PROGRESS and now.begun_at_ns is None else now.begun_at_ns
            ended = at_ns if not TRANSITIONS[to] or to is JobState.EXPIRED else None
            sql = "UPDATE batch_jobs SET state = ?, begun_at_ns = ?, ended_at_ns = ? WHERE number = ?"
            transaction.execute(sql, to.value, begun, ended, now.number)
        return self.get(job.id)

    def allow(self, job: Job, *, limit_nanousd: int | None, deadline_ns: int | None) -> Job:
        """Give a job another budget and another deadline."""
        with self._database.transaction() as transaction:
            sql = "UPDATE batch_jobs SET limit_nanousd = ?, deadline_ns = ? WHERE number = ?"
            transaction.execute(sql, limit_nanousd, deadline_ns, job.number)
        return self.get(job.id)

    def reopen(self, job: Job, *, is_ordered: bool) -> Job:
        """Let what failed of a completed job be asked again; `error_bytes` says that its files are to be prepared.

        Of one whose lines were put in order, results say from now on where they are in the ordered file.
        """
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM batch_results WHERE job = ? AND outcome <> ?", job.number, COMPLETE)
            if is_ordered:
                transaction.execute(_IN_ORDER, job.number, job.number)
                transaction.execute(_ORDERED_BYTES, job.number, job.number)
            sql = "UPDATE batch_jobs SET state = ?, ended_at_ns = NULL, error_bytes = ? WHERE number = ?"
            transaction.execute(sql, JobState.IN_PROGRESS.value, REOPENED, job.number)
        return self.get(job.id)

    def reopened(self, job: Job) -> Job:
        """Its files are prepared: there is nothing in the error file."""
        with self._database.transaction() as transaction:
            transaction.execute("UPDATE batch_jobs SET error_bytes = 0 WHERE number = ?", job.number)
        return self.get(job.id)

    # -- items

    def add(self, job: Job, items: Iterable[Item]) -> None:
        """Note some of a job's items; those that are there already stay as they are."""
        rows = [(job.number, item.position, item.custom_id, item.digest) for item in items]
        with self._database.transaction() as transaction:
            transaction.insert("batch_items", ("job", "position", "custom_id", "digest"), rows)

    def forget_items(self, job: Job) -> None:
        """Forget the items of a job whose reading was cut off."""
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM batch_items WHERE job = ?", job.number)

    def repeated(self, job: Job) -> tuple[str, int, int] | None:
        """A custom_id that several items have, and the positions of two of them; None if there is none."""
        rows = self._database.read(_REPEATED, job.number)
        return (rows[0]["custom_id"], rows[0]["first"], rows[0]["last"]) if rows else None

    def link_twins(self, job: Job) -> None:
        """Let every item whose digest an earlier one has be its twin, and take its answer."""
        with self._database.transaction() as transaction:
            transaction.execute(_LINK, job.number)

    def counted(self, job: Job, total: int) -> Job:
        """All items are noted."""
        with self._database.transaction() as transaction:
            transaction.execute("UPDATE batch_jobs SET total = ? WHERE number = ?", total, job.number)
        return self.get(job.id)

    def undecided(self, job: Job, after: int = -1, limit: int = PAGE) -> list[Undecided]:
        """Items to be asked, in their order: those without a result that are nobody's twin, behind a position."""
        return self._undecided("NULL", job, after, limit)

    def undecided_twins(self, job: Job, after: int = -1, limit: int = PAGE) -> list[Undecided]:
        """The same of those that take an earlier one's answer."""
        return self._undecided("NOT NULL", job, after, limit)

    def _undecided(self, which: str, job: Job, after: int, limit: int) -> list[Undecided]:
        rows = self._database.read_plain(_UNDECIDED.format(which=which), job.number, after, limit)
        return [Undecided(*row) for row in rows]

    def positions(self, job: Job, custom_ids: Sequence[str]) -> dict[str, int]:
        """Where items stand, by their custom_id; those that the job does not have are left out."""
        found: dict[str, int] = {}
        for custom_id in custom_ids:
            sql = "SELECT position FROM batch_items WHERE job = ? AND custom_id = ?"
            for (position,) in self._database.read_plain(sql, job.number, custom_id):
                found[custom_id] = position
        return found

    # -- results

    def record(self, job: Job, results: Sequence[ItemResult], *, output_bytes: int, error_bytes: int) -> None:
        """Results whose lines are on the disk, and how far the files are told of with them; all or nothing."""
        rows = [_result_values(job, result) for result in results]
        with self._database.transaction() as transaction:
            transaction.insert("batch_results", _RESULT_COLUMNS, rows)
            sql = "UPDATE batch_jobs SET output_bytes = ?, error_bytes = ? WHERE number = ?"
            transaction.execute(sql, output_bytes, error_bytes, job.number)

    def result(self, job: Job, position: int) -> ItemResult | None:
        """What became of one item; None while it is undecided."""
        rows = self._database.read(_RESULT, job.number, position)
        return _result(rows[0]) if rows else None

    def results(self, job: Job, after: int = -1, limit: int = PAGE) -> list[ItemResult]:
        """What became of items, in their order, behind a position."""
        return [_result(row) for row in self._database.read(_RESULTS, job.number, after, limit)]

    def counts(self, job: Job) -> Counts:
        """How far it is, or was when it was over."""
        return self._counts(job) if job.summary is None else _read_summary(job.summary).counts

    def shares(self, job: Job) -> list[Share]:
        """Who did how much of it, by model and tier."""
        return self._shares(job) if job.summary is None else _read_summary(job.summary).shares

    # -- forgetting

    def oldest_with_items(self, before_ns: int) -> Job | None:
        """The oldest job that was over before a time and has items yet."""
        rows = self._database.read(_OLDEST.format(select=_SELECT), before_ns)
        return _job(rows[0]) if rows else None

    def summarise(self, job: Job) -> Job:
        """Keep what became of a job's items; its counts and shares are told from this."""
        summary = msgspec.json.encode(JobSummary(self._counts(job), self._shares(job))).decode()
        with self._database.transaction() as transaction:
            transaction.execute("UPDATE batch_jobs SET summary = ? WHERE number = ?", summary, job.number)
        return self.get(job.id)

    def delete_items(self, job: Job, limit: int) -> int:
        """Delete a job's next few items with all that is known of them, and return how many there were."""
        with self._database.transaction() as transaction:
            positions = transaction.execute(_NEXT_ITEMS, job.number, limit)
            last = positions[-1]["position"] if positions else -1
            for table in ("batch_results", "batch_sent", "batch_items"):
                transaction.execute(f"DELETE FROM {table} WHERE job = ? AND position <= ?", job.number, last)  # noqa: S608 our own names
        return len(positions)

    def _counts(self, job: Job) -> Counts:
        return Counts(**self._database.read(_COUNTS, job.number)[0])

    def _shares(self, job: Job) -> list[Share]:
        return [Share(**row) for row in self._database.read(_SHARES, job.number)]


_read_summary = msgspec.json.Decoder(JobSummary).decode


def _values(job: Job) -> tuple[Value, ...]:
    fields = asdict(job)
    return tuple(str(fields[name]) if name == "state" else fields[name] for name in _COLUMNS)


def _job(row: Row) -> Job:
    return Job(**{**row, "state": JobState(row["state"])})


def _found(rows: Sequence[Row], job_id: str) -> Job:
    if not rows:
        raise JobNotFound(f"there is no batch {job_id!r}", hint="`routewright batch list` names them")
    return _job(rows[0])


def _result_values(job: Job, result: ItemResult) -> tuple[Value, ...]:
    return (
        job.number,
        result.position,
        result.outcome,
        result.request_id,
        result.model,
        None if result.tier is None else str(result.tier),
        result.cost_nanousd,
        int(result.is_estimated),
        result.baseline_nanousd,
        result.offset,
        result.length,
    )


def _result(row: Row) -> ItemResult:
    return ItemResult(
        position=row["position"],
        outcome=row["outcome"],
        request_id=row["request_id"],
        model=row["model"],
        tier=row["tier"],
        cost_nanousd=row["cost_nanousd"],
        is_estimated=bool(row["is_estimated"]),
        baseline_nanousd=row["baseline_nanousd"],
        offset=row["line_offset"],
        length=row["line_length"],
    )
