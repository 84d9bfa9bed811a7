"""What a client is told of usage and cost, whatever its dialect."""

from msgspec import Raw

from routewright.call import JsonObject
from routewright.money import exact_usd
from routewright.reply import Receipt, Reply
from routewright.usage import Usage


def told_usage(reply: Reply, receipt: Receipt | None) -> tuple[Usage, bool]:
    """What the provider counted for this reply, or else what the ledger was charged for; and whether that is so."""
    if reply.usage is not None and not reply.is_usage_partial:
        return reply.usage, False
    reports = receipt.attempts if receipt is not None else ()
    settled = [report.usage for report in reports if report.attempt_id == reply.attempt.id]
    return settled[-1] if settled else Usage(), True


def told_cost(receipt: Receipt | None, *, is_estimated: bool = False) -> JsonObject:
    """The fields beside the counts: `cost` in USD over all attempts, and `estimated` where the counts are."""
    told: JsonObject = (
        {} if receipt is None else {"cost": Raw(exact_usd(receipt.cost_nanousd, least_decimals=0).encode())}
    )
    return told | {"estimated": True} if is_estimated else told
