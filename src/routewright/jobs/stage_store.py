"""What stages were answered, in the ledger's database: it is the one place that all nodes of a cluster share."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from routewright.ledger.database import Database
from routewright.ledger.ledger import NANOSECONDS

KEPT_NS = 30 * 86_400 * NANOSECONDS

_FIND = """
SELECT custom_id, digest, kept FROM stage_answers
WHERE job = ? AND custom_id IN (SELECT asked.value FROM {asked})
"""


class StageAnswer(Struct, frozen=True, kw_only=True):
    """What became of one row: an answer or an error."""

    answer: str = ""
    error: str = ""
    """Code and message; empty for a row that was answered."""
    model: str = ""
    request_id: str = ""


class Found(Struct, frozen=True):
    """An answer that is kept, with the digest of what was asked."""

    digest: bytes
    answer: StageAnswer


_decode = msgspec.json.Decoder(StageAnswer).decode


class StageStore:
    """The answers of one stage's job. Raises StoreUnavailable from every verb; any thread may use it."""

    def __init__(self, database: Database, job: str) -> None:
        self._database = database
        self._job = job
        self._find = _FIND.format(asked=database.elements("?", "asked"))

    def find(self, custom_ids: Sequence[str]) -> dict[str, Found]:
        """Those of them that have their answer."""
        asked = msgspec.json.encode(custom_ids).decode()
        rows = self._database.read_plain(self._find, self._job, asked)
        return {row[0]: Found(bytes(row[1]), _decode(row[2])) for row in rows}

    def keep(self, custom_id: str, digest: bytes, answer: StageAnswer, *, at_ns: int) -> None:
        """Keep an answer; the first one stays."""
        row = (self._job, custom_id, digest, at_ns, msgspec.json.encode(answer))
        with self._database.transaction() as transaction:
            transaction.insert("stage_answers", ("job", "custom_id", "digest", "at_ns", "kept"), [row])

    def prune(self, now_ns: int) -> None:
        """Forget what is old, of all jobs."""
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM stage_answers WHERE at_ns < ?", now_ns - KEPT_NS)
