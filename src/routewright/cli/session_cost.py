"""What a session cost: its requests as the ledger has them, added up, by model and against the baseline."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from routewright.ledger.ledger import Settled
from routewright.ledger.store import RequestRecord
from routewright.text import counted, one_line, percent, usd

_SIMULATOR = "simulator/"


class ModelCost(Struct, kw_only=True):
    """One model's part: its own attempts, and the requests that it answered."""

    model: str
    requests: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0


class SessionCost(Struct, frozen=True, kw_only=True):
    """All of it; the form of `--json`."""

    requests: int
    failed: int
    """Of these, not answered to the end."""
    input_tokens: int
    output_tokens: int
    cost_nanousd: int
    is_estimated: bool
    """A part was not reported by its provider: the cost is an upper bound."""
    is_simulated: bool
    """A part was answered by the built-in simulator."""
    baselines: tuple[str, ...]
    """The models that answered requests are compared with."""
    baseline_nanousd: int
    """What the same tokens cost there."""
    saved_nanousd: int
    """Net of what requests cost that have no baseline, as nobody answered them; below zero when routing cost more."""
    models: tuple[ModelCost, ...]
    """The dearest first."""


def session_cost(records: Sequence[RequestRecord]) -> SessionCost:
    """Add up requests that are over."""
    models: dict[str, ModelCost] = {}
    is_simulated = False
    for record in records:
        if record.request is not None and record.request.model is not None:
            _part(models, record.request.model).requests += 1
        for attempt in record.attempts:
            if attempt.close is None:
                continue
            part = _part(models, attempt.close.model)
            part.attempts += 1
            if isinstance(attempt.close, Settled):
                part.input_tokens += attempt.close.usage.input_total
                part.output_tokens += attempt.close.usage.output_total
                part.cost_nanousd += attempt.close.cost_nanousd or 0
                is_simulated |= attempt.close.deployment.startswith(_SIMULATOR)
    rows = [record.request for record in records if record.request is not None]
    cost = sum(row.cost_nanousd for row in rows)
    baseline = sum(row.baseline_cost_nanousd or 0 for row in rows)
    return SessionCost(
        requests=len(rows),
        failed=sum(row.outcome != "complete" for row in rows),
        input_tokens=sum(part.input_tokens for part in models.values()),
        output_tokens=sum(part.output_tokens for part in models.values()),
        cost_nanousd=cost,
        is_estimated=any(row.is_estimated for row in rows),
        is_simulated=is_simulated,
        baselines=tuple(
            sorted({row.baseline_model for row in rows if row.baseline_cost_nanousd and row.baseline_model})
        ),
        baseline_nanousd=baseline,
        saved_nanousd=baseline - cost,
        models=tuple(sorted(models.values(), key=lambda part: (-part.cost_nanousd, part.model))),
    )


def _part(models: dict[str, ModelCost], name: str) -> ModelCost:
    return models.setdefault(name, ModelCost(model=name))


def told(cost: SessionCost) -> Iterator[str]:
    """For people, line by line."""
    if not cost.requests:
        yield "no request of it is in the ledger"
        return
    failed = f", {cost.failed} of them not answered to the end" if cost.failed else ""
    simulated = "; simulated, so nothing was spent" if cost.is_simulated else ""
    yield (
        f"{counted(cost.requests, 'request')}{failed} · {cost.input_tokens:,} tokens in, {cost.output_tokens:,} out · "
        f"{'≤ ' if cost.is_estimated else ''}{usd(cost.cost_nanousd)}{simulated}"
    )
    width = max(len(part.model) for part in cost.models) if cost.models else 0
    for part in cost.models:
        yield (
            f"  {one_line(part.model):<{width}}  {counted(part.requests, 'request')} · {part.input_tokens:,} in, "
            f"{part.output_tokens:,} out · {usd(part.cost_nanousd)}"
        )
    if cost.baselines:
        yield (
            f"  always {' or '.join(map(one_line, cost.baselines))} would have cost {usd(cost.baseline_nanousd)}: "
            f"saved {usd(cost.saved_nanousd)} ({percent(cost.saved_nanousd, cost.baseline_nanousd)})"
        )
