"""Which models requests were compared with, by day: a saving names its baseline without a look at every request."""

from routewright.ledger.database import Database, Transaction

_DAY_NS = 86_400 * 10**9


def keep_baselines(transaction: Transaction, new: str) -> None:
    """Take note of the baselines of new requests: the rows of table `new`."""
    transaction.execute(_KEEP.format(new=new))


def baselines_between(database: Database, since_ns: int, until_ns: int) -> list[str]:
    """Those of the days (UTC) that a time touches, in the order of their names."""
    return [row["model"] for row in database.read(_READ, since_ns - since_ns % _DAY_NS, until_ns)]


_KEEP = f"""
INSERT INTO baselines_daily (day_ns, model)
SELECT DISTINCT new.at_ns - new.at_ns % {_DAY_NS}, new.baseline_model FROM {{new}} AS new
WHERE new.baseline_cost_nanousd IS NOT NULL AND new.baseline_model IS NOT NULL
ON CONFLICT DO NOTHING
"""  # noqa: S608 of our own constants
_READ = "SELECT DISTINCT model FROM baselines_daily WHERE day_ns >= ? AND day_ns < ? ORDER BY model"
