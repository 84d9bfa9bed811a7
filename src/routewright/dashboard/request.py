"""One request in full: why it went where it went, what each attempt did, and what each token cost."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence

from routewright.call import Cause
from routewright.catalog.pricing import Rates
from routewright.dashboard.listing import Cell, Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.shadows import MOST_SHOWN, pairs_of, verdict
from routewright.dashboard.view import Desk, View
from routewright.dashboard.waterfall import Bar, waterfall
from routewright.decision.replay import Replay, replay
from routewright.errors import RequestNotFound
from routewright.ids import is_uuid7
from routewright.ledger.billing import rates_of
from routewright.ledger.latest import comparisons_of
from routewright.ledger.ledger import NANOSECONDS, ComparisonRecorded, RequestRecorded, Settled
from routewright.ledger.price_history import PriceHistory
from routewright.ledger.store import AttemptRecord
from routewright.reports.decision_text import because, headline, success_text
from routewright.reports.request_text import facts
from routewright.route import Route
from routewright.usage import Usage

_MS = NANOSECONDS // 1000
_PATHS = {
    "openai_responses": ("/v1/responses", "input"),
    "anthropic_messages": ("/v1/messages", "messages"),
    "openai_embeddings": ("/v1/embeddings", "input"),
}
_USUAL = ("/v1/chat/completions", "messages")


def read(desk: Desk, asked: Parameters) -> View:
    """The sheet of a request. Raises RequestNotFound."""
    found = desk.ledger.request(asked.part) if is_uuid7(asked.part) else None
    if found is None:
        raise RequestNotFound(f"no request {asked.part[:64]!r} is recorded", hint="the list has those there are")
    request = found.request
    route = request.route if request else None
    attempts, tokens = _attempts(found.attempts), _tokens(desk, found.attempts)
    compared = comparisons_of(desk.ledger.database, asked.part, MOST_SHOWN)
    shadows = _shadows(compared) if compared else None
    decision = None if route is None else decision_of(route)
    policies = [each.name for each in desk.engine.plan.policies.values() if each.applied is not None]
    policy = asked.choice("policy", policies, "")
    replayed = _replayed(desk, request, policy) if policy and request and route else None
    values = {
        "id": asked.part,
        "facts": list(facts(found)),
        "session": request.session if request else "",
        "headline": "" if route is None else headline(route),
        "because": "" if route is None else because(route),
        "decision": decision,
        "drawing": waterfall(_bars(found.attempts, {each.shadow: verdict(each) for each in compared})),
        "attempts": attempts,
        "tokens": tokens,
        "shadows": shadows,
        "pairs": pairs_of(compared),
        "content": request.system_preview if request and desk.engine.settings.ledger.log_content else "",
        "policies": policies if route else [],
        "policy": policy,
        "replayed": replayed,
        "curl": "" if request is None else _curl(desk.address, request),
    }
    listings = tuple(each for each in (decision, attempts, tokens, shadows, replayed) if each is not None)
    return View(title="Request", template="request.html", values=values, listings=listings)


# ---- the decision -----------------------------------------------------------------------------------------------


def decision_of(route: Route) -> Listing:
    """Every model as the decision saw it, in the order of trial."""
    return Listing(
        name="decision",
        title="Decision",
        columns=(
            Column("model", "model"),
            Column("tier", "tier"),
            Column("success", "P(good)"),
            Column("expected_cost_usd", "est. cost", Kind.USD),
            Column("eligible", "eligible"),
            Column("why", "why"),
        ),
        rows=[
            (
                each.model,
                each.tier,
                success_text(each),
                each.expected_cost_nanousd,
                "yes" if each.is_eligible else "no",
                each.reason,
            )
            for each in route.candidates
        ],
    )


def _replayed(desk: Desk, request: RequestRecorded, name: str) -> Listing:
    """The same request by another policy, over the models and prices of now."""
    planned = desk.engine.plan.policies[name].applied
    assert planned is not None, "it is chosen among those that can be used"
    assert request.route is not None, "asked of those only that have one"
    found = replay(
        request.route,
        planned.policy,
        planned.registry,
        before=desk.engine.plan.base.registry,
        now_s=request.at_ns // NANOSECONDS,
        newcomers={},
    )
    rows: Sequence[tuple[Cell, ...]] = []
    note = "" if isinstance(found, Replay) else f"It cannot be decided anew: {found.reason}."
    if isinstance(found, Replay):
        likely = sorted(found.costs, key=lambda model: -found.propensities.get(model, 0))
        rows = [(model, round(1000 * found.propensities.get(model, 0)), found.costs[model]) for model in likely]
    return Listing(
        name="replay",
        title=f"Replayed under {name}",
        columns=(
            Column("model", "model"),
            Column("share", "taken first", Kind.SHARE),
            Column("expected_cost_usd", "est. cost", Kind.USD),
        ),
        rows=rows,
        note=note,
    )


# ---- attempts ---------------------------------------------------------------------------------------------------


def _attempts(records: Iterable[AttemptRecord]) -> Listing:
    return Listing(
        name="attempts",
        title="Attempts",
        columns=(
            Column("attempt_id", "attempt"),
            Column("cause", "cause"),
            Column("deployment", "deployment"),
            Column("outcome", "outcome"),
            Column("first_event_ms", "first event", Kind.MS),
            Column("total_ms", "took", Kind.MS),
            Column("held_usd", "held", Kind.USD),
            Column("cost_usd", "cost", Kind.USD),
        ),
        rows=[_attempt(record) for record in records],
    )


def _attempt(record: AttemptRecord) -> tuple[Cell, ...]:
    hold, close = record.hold, record.close
    named = close or hold
    assert named is not None, "a record is of one of the two at least"
    return (
        named.attempt_id,
        named.cause,
        named.deployment,
        "open" if close is None else close.outcome,
        close.first_event_ms if isinstance(close, Settled) else None,
        None if close is None else close.total_ms,
        None if hold is None else hold.amount_nanousd,
        None if close is None else close.cost_nanousd if isinstance(close, Settled) else 0,
    )


def _bars(records: Sequence[AttemptRecord], verdicts: Mapping[str, str]) -> list[Bar]:
    """A row for each attempt; that of a shadow also says what came of it, by its model."""
    starts = {at: _starts_ms(record) for at, record in enumerate(records)}
    first = min(starts.values(), default=0)
    return [_bar(record, starts[at] - first, verdicts) for at, record in enumerate(records)]


def _starts_ms(record: AttemptRecord) -> int:
    if record.hold is not None:
        return record.hold.at_ns // _MS
    assert record.close is not None, "a record is of one of the two at least"
    return record.close.at_ns // _MS - record.close.total_ms


def _bar(record: AttemptRecord, starts_ms: int, verdicts: Mapping[str, str]) -> Bar:
    named, close = record.close or record.hold, record.close
    assert named is not None, "a record is of one of the two at least"
    return Bar(
        name=f"{named.cause} · {named.deployment}",
        starts_ms=starts_ms,
        lasts_ms=None if close is None else close.total_ms,
        first_ms=close.first_event_ms if isinstance(close, Settled) else None,
        outcome="open" if close is None else close.outcome,
        remark=verdicts.get(named.model, "") if named.cause == Cause.SHADOW else "",
    )


# ---- shadows ----------------------------------------------------------------------------------------------------


def _shadows(compared: Sequence[ComparisonRecorded]) -> Listing:
    """What other models made of the same, aside: nobody waited for it, and no client saw it."""
    return Listing(
        name="shadows",
        title="Asked aside",
        columns=(
            Column("shadow", "shadow"),
            Column("beside", "beside"),
            Column("result", "result"),
            Column("by", "by"),
            Column("judge", "judge"),
            Column("shadow_ms", "took", Kind.MS),
            Column("cost_usd", "the answer's cost", Kind.USD),
            Column("shadow_cost_usd", "its cost", Kind.USD),
            Column("judge_cost_usd", "judging", Kind.USD),
        ),
        rows=[
            (
                each.shadow,
                each.model,
                verdict(each),
                each.decided_by or None,
                each.judge or None,
                each.shadow_ms,
                each.cost_nanousd,
                each.shadow_cost_nanousd,
                each.judge_cost_nanousd,
            )
            for each in compared
        ],
        note="Win and loss are the shadow's. Its cost is no part of the request's.",
    )


# ---- tokens and prices ------------------------------------------------------------------------------------------


def _tokens(desk: Desk, records: Iterable[AttemptRecord]) -> Listing:
    history = PriceHistory(desk.ledger.database)
    rows = [row for record in records if isinstance(record.close, Settled) for row in _lines(history, record.close)]
    return Listing(
        name="tokens",
        title="Tokens and prices",
        columns=(
            Column("model", "model"),
            Column("kind", "tokens of"),
            Column("tokens", "tokens", Kind.COUNT),
            Column("usd_per_million", "USD per million", Kind.USD),
            Column("cost_usd", "cost", Kind.USD),
            Column("price_version", "price version"),
        ),
        rows=rows,
        note="A cost is rounded once for each attempt, so its parts may differ from it by a nano-dollar.",
    )


def _lines(history: PriceHistory, close: Settled) -> Iterable[tuple[Cell, ...]]:
    """A line for each class of tokens that there was, then all of the attempt."""
    version = history.lookup(close.price_version)
    rates: Rates | None = None
    if version is not None:
        rates = rates_of(version.tariff, close.usage, close.at_ns // NANOSECONDS, close.service_tier)
    for kind in Usage.__struct_fields__:
        tokens = getattr(close.usage, kind)
        if tokens:
            rate = None if rates is None else getattr(rates, kind)
            cost = None if rate is None else (tokens * rate + 500) // 1000
            per_million = None if rate is None else rate * 1000
            yield close.model, kind.replace("_", " "), tokens, per_million, cost, close.price_version
    if rates is not None and rates.request:
        yield close.model, "a request", None, None, (rates.request + 500) // 1000, close.price_version
    every = "all, at most" if close.is_estimated else "all"
    yield close.model, every, close.usage.total, None, close.cost_nanousd, close.price_version


# ---- again ------------------------------------------------------------------------------------------------------


def _curl(address: str, request: RequestRecorded) -> str:
    """The same call by hand. What was asked is not kept, so its place is left open."""
    path, field = _PATHS.get(request.dialect, _USUAL)
    words = "YOUR TEXT"
    content: object = [{"role": "user", "content": words}] if field == "messages" else words
    body: dict[str, object] = {"model": request.requested_model, field: content}
    if path == "/v1/messages":
        body["max_tokens"] = 1024
    if request.stream:
        body["stream"] = True
    said = [f"curl {shlex.quote(address + path)}", "-H 'content-type: application/json'"]
    if request.tags:
        said.append(f"-H {shlex.quote('x-routewright-tags: ' + ','.join(request.tags))}")
    return " \\\n  ".join([*said, f"-d {shlex.quote(json.dumps(body))}"])
