"""The latest outcomes and comparisons: which, in which order, and that no table is read whole for them."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from builders import registry
from deciding import choose, expecting, of, verdict
from entries import CLASSIFIED, recorded
from ledger_rows import absorb, generated
from routewright.catalog.registry import Tier
from routewright.ledger.database import Row
from routewright.ledger.latest import latest_comparisons, latest_opinions
from routewright.ledger.ledger import OutcomeRecorded
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store


def outcome(number: int, **changes: Any) -> OutcomeRecorded:
    fields = {"request_id": f"r{number}", "source": "feedback", "score": 1.0, **changes}
    return OutcomeRecorded(outcome_id=f"o{number}", at_ns=number, **fields)


def test_the_latest_come_in_the_order_in_which_they_were_told_with_what_was_claimed(store: Store) -> None:
    candidate = replace(CLASSIFIED.candidates[0], success=0.9)
    route = replace(CLASSIFIED, written=(candidate,))
    absorb(store, [recorded(f"r{number}", route=route) for number in range(4)])
    absorb(store, [outcome(number, model="other" if number == 3 else "") for number in (2, 1, 3)])
    found = latest_opinions(store.database, 2)
    assert [(each.told.request_id, each.told.model, each.claimed) for each in found] == [
        ("r1", "small", 0.9),
        ("r3", "other", None),
    ]
    assert found[0].told.kinds[0].kind == "translation"


def test_a_claim_is_found_among_many_models(store: Store) -> None:
    among = registry(*[of(Tier.BULK, f"model-{at}", 1 + at) for at in range(20)])
    route = choose(said=verdict(Tier.BULK), among=among, forecast=expecting({"model-0": 0.9, "model-19": 0.25}))
    absorb(store, [recorded("r1", route=route)])
    names = ("model-0", "model-19", "model-7")
    absorb(store, [outcome(number, model=name, request_id="r1") for number, name in enumerate(names)])
    assert [each.claimed for each in latest_opinions(store.database, 3)] == [0.9, 0.25, None]


def test_an_outcome_whose_request_is_not_recorded_is_left_out(store: Store) -> None:
    absorb(store, [outcome(1)])
    assert latest_opinions(store.database, 10) == []


def test_ratings_are_those_of_the_requests_that_were_compared_last(store: Store) -> None:
    events = generated(200)
    absorb(store, events)
    found = latest_comparisons(store.database, 3)
    assert len(found.comparisons) == 3
    first, _, last = (each.request_id for each in found.comparisons)
    absorb(
        store,
        [
            replace(outcome(1), request_id=first, model="strong", score=0.2),
            replace(outcome(2), request_id=first, model="strong", score=0.7),
            replace(outcome(3), request_id=last),
            outcome(4),
        ],
    )
    assert latest_comparisons(store.database, 3).ratings == {(first, "strong"): 0.7, (last, "swift"): 1.0}


def test_no_table_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database, plans = SqliteDatabase(tmp_path / "ledger.db"), list[str]()
    Store(database)
    read = database.read

    def explained(sql: str, *bindings: Any) -> list[Row]:
        plans.extend(str(row["detail"]) for row in read(f"EXPLAIN QUERY PLAN {sql}", *bindings))
        return read(sql, *bindings)

    monkeypatch.setattr(database, "read", explained)
    latest_opinions(database, 10)
    latest_comparisons(database, 10)
    database.close()
    # both are walked in their own order, from the end, and as far as the limit: only what was found is sorted
    assert {plan for plan in plans if plan.startswith("SCAN")} == {
        "SCAN outcomes",
        "SCAN o",
        "SCAN comparisons",
        "SCAN c",
    }
    assert plans.count("USE TEMP B-TREE FOR ORDER BY") == 2
