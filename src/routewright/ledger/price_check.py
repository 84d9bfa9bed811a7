"""The check that attempts cost what their tokens cost at the prices of their version."""

from collections.abc import Iterator
from itertools import islice

from routewright.ledger.billing import priced_usage
from routewright.ledger.findings import MOST_NAMED, Finding, Subject, finding, skipped
from routewright.ledger.ledger import NANOSECONDS
from routewright.ledger.price_history import PriceHistory, PriceVersion
from routewright.ledger.rerating import Settlement, settlements

NAME = "prices"
_MOST_VERSIONS = 10_000
"""Remembered; beyond it, all are looked up again."""
_FOREVER_NS = 2**63 - 1


def attempts_cost_what_their_prices_say(subject: Subject) -> Finding:
    """From the tokens, the service tier and the moment of the hold, at the prices that the version stands for.

    What a dead process left has no tokens, and cost its hold; of a version that is not known nothing can be said.
    """
    if not subject.database.read("SELECT 1 AS it FROM price_versions LIMIT 1"):
        return skipped(NAME, "no price version is recorded yet")
    seen = {"known": 0, "unknown": 0}
    wrong = list(islice(_wrong(subject, seen), MOST_NAMED))
    unknown = f"; {seen['unknown']:,} are of versions that are not known" if seen["unknown"] else ""
    return finding(NAME, f"{seen['known']:,} attempts at the prices of their version{unknown}", wrong)


def _wrong(subject: Subject, seen: dict[str, int]) -> Iterator[str]:
    history = PriceHistory(subject.database)
    versions: dict[str, PriceVersion | None] = {}
    for page in settlements(subject.database, max(subject.since_ns, subject.pruned_until_ns), _FOREVER_NS):
        for settlement in page:
            if settlement.outcome == "crashed" or settlement.cost_nanousd is None:
                continue
            if settlement.price_version not in versions:
                if len(versions) >= _MOST_VERSIONS:
                    versions.clear()
                versions[settlement.price_version] = history.lookup(settlement.price_version)
            version = versions[settlement.price_version]
            seen["unknown" if version is None else "known"] += 1
            if version is not None and (told := _difference(settlement, version)):
                yield told
        subject.pause()


def _difference(settlement: Settlement, version: PriceVersion) -> str | None:
    moment = settlement.held_ns // NANOSECONDS
    cost = priced_usage(version.tariff, settlement.usage, moment, settlement.service_tier)
    if cost == settlement.cost_nanousd:
        return None
    return f"{settlement.attempt_id}: {settlement.cost_nanousd} n$, at {version.version} its tokens cost {cost} n$"
