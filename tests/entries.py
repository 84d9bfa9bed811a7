"""Ledger events to start from."""

import msgspec

from routewright.catalog.registry import Tier
from routewright.ledger.journal import Pace
from routewright.ledger.ledger import (
    ComparisonRecorded,
    EmbeddingRecorded,
    LedgerEvent,
    OutcomeRecorded,
    Released,
    RequestRecorded,
    Reserved,
    Settled,
    encode_event,
)
from routewright.ledger.store import Store
from routewright.route import Candidate, KindShare, Route, Verdict
from routewright.usage import Usage

SECOND = 10**9
DAY = 86_400 * SECOND
AT_ONCE = Pace(gather_s=0, idle_s=0, drain_s=0, retry_s=0.001, longest_retry_s=0.001)
ROUTE = Route(
    verdict=None,
    tier=Tier.BULK,
    reason="the caller chose it",
    written=(Candidate(model="small", tier=Tier.BULK, is_eligible=True, reason="named", expected_cost_nanousd=5),),
    input_tokens=10,
    output_tokens=20,
    catalog="c1",
    classifier=None,
    policy="p1",
)
VERDICT = Verdict(
    tier=Tier.BULK,
    confidence=0.8,
    reason="asks for a translation",
    classifier="test@1",
    kinds=(KindShare("translation", 0.7), KindShare("chat", 0.2)),
    sketch=b"\x00\xff\n",
)
CLASSIFIED = msgspec.structs.replace(ROUTE, verdict=VERDICT)


def reserved(attempt: str, *, boot: str = "dead", **changes: object) -> Reserved:
    hold = Reserved(
        attempt_id=attempt,
        request_id="r1",
        at_ns=SECOND,
        boot=boot,
        model="small",
        deployment="here/small",
        cause="first",
        amount_nanousd=900,
        price_version="p1",
    )
    return msgspec.structs.replace(hold, **changes)


def settled(attempt: str, **changes: object) -> Settled:
    event = Settled(
        attempt_id=attempt,
        request_id="r1",
        at_ns=2 * SECOND,
        model="small",
        deployment="here/small",
        served_model="small-2026",
        cause="first",
        outcome="complete",
        usage=Usage(input=1, cache_read=2, cache_write=3, cache_write_1h=4, output=5, reasoning=6),
        cost_nanousd=700,
        price_version="p1",
        is_estimated=False,
        first_event_ms=12,
        total_ms=34,
    )
    return msgspec.structs.replace(event, **changes)


def released(attempt: str, **changes: object) -> Released:
    event = Released(
        attempt_id=attempt,
        request_id="r1",
        at_ns=2 * SECOND,
        model="small",
        deployment="here/small",
        cause="first",
        outcome="upstream_connect_failed",
        total_ms=5,
    )
    return msgspec.structs.replace(event, **changes)


def recorded(request: str, **changes: object) -> RequestRecorded:
    event = RequestRecorded(
        request_id=request,
        at_ns=3 * SECOND,
        dialect="openai_chat",
        requested_model="auto",
        model="small",
        tier="simple",
        confidence=0.8,
        reason="short",
        outcome="complete",
        cost_nanousd=700,
        is_estimated=False,
        baseline_model="large",
        baseline_cost_nanousd=7000,
        attempts=1,
        stream=True,
        total_ms=40,
        overhead_us=150,
        route=ROUTE,
        tags=("a", "b"),
        user="u1",
    )
    return msgspec.structs.replace(event, **changes)


def outcome(number: int, **changes: object) -> OutcomeRecorded:
    event = OutcomeRecorded(outcome_id=f"o{number}", request_id="r1", at_ns=number, source="feedback", score=0.5)
    return msgspec.structs.replace(event, **changes)


def comparison(number: int, **changes: object) -> ComparisonRecorded:
    event = ComparisonRecorded(
        comparison_id=f"c{number}",
        request_id="r1",
        at_ns=number,
        model="large",
        shadow="other",
        result="tie",
        decided_by="judge",
        judge="referee",
        is_same=True,
        cost_nanousd=7,
        shadow_cost_nanousd=None,
        judge_cost_nanousd=1,
        total_ms=5,
        shadow_ms=6,
        answer="a",
        shadow_answer="b",
    )
    return msgspec.structs.replace(event, **changes)


def embedding(request_id: str, embedder: str = "acme/embed", vector: bytes = b"\x00\x3c") -> EmbeddingRecorded:
    return EmbeddingRecorded(request_id=request_id, at_ns=1, embedder=embedder, vector=vector)


def absorb(store: Store, *events: LedgerEvent) -> None:
    store.absorb([encode_event(event) for event in events])
