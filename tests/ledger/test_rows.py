"""Events as rows; that they come back as they went in is in test_store."""

import msgspec

from builders import registry
from deciding import choose, expecting, of, verdict
from entries import outcome, recorded, reserved, settled
from routewright.catalog.registry import Tier
from routewright.ledger.ledger import RequestRecorded, encode_event
from routewright.ledger.rows import event_of, rows_of, written_out


def test_rows_are_gathered_by_where_they_go_in_their_order() -> None:
    events = [reserved("a1"), outcome(1), reserved("a2"), settled("a1")]
    rows = rows_of([encode_event(event) for event in events])
    assert [(insert.table, len(its)) for insert, its in rows.items()] == [("events", 2), ("outcomes", 1), ("events", 1)]
    holds, _, closes = rows
    first, second = ({**dict(zip(holds.columns, row, strict=True))} for row in rows[holds])
    assert (first["kind"], first["attempt_id"], second["attempt_id"]) == ("reserved", "a1", "a2")
    assert dict(zip(closes.columns, rows[closes][0], strict=True))["kind"] == "settled"


def test_a_character_that_one_database_cannot_keep_is_replaced_in_both() -> None:
    ((insert, (row,)),) = rows_of([encode_event(settled("a1", model="a\0b", tags=("x\0",)))]).items()
    told = dict(zip(insert.columns, row, strict=True))
    assert (told["model"], told["tags"]) == ("a\ufffdb", '["x\ufffd"]')


def test_a_route_of_many_models_comes_back_with_every_candidate_written_out() -> None:
    among = registry(*[of(Tier.BULK, f"model-{at}", 1 + at) for at in range(20)])
    route = choose(said=verdict(Tier.BULK), among=among, forecast=expecting(dict.fromkeys(among.models, 0.8)))
    ((insert, (row,)),) = rows_of([encode_event(recorded("r1", route=route))]).items()
    stored = dict(zip(insert.columns, row, strict=True))
    event = event_of({"kind": "request", **stored})
    assert isinstance(event, RequestRecorded)
    assert event.route == route.written_out() != route
    assert written_out(str(stored["route"])) == msgspec.json.encode(route.written_out()).decode()


def test_what_cannot_be_read_is_kept_aside_as_it_is_with_the_reason() -> None:
    payload = b'{"kind": "novelty", "x": "\\u0000"}'
    ((insert, ((kept, reason),)),) = rows_of([payload]).items()
    assert (insert.table, kept) == ("unread", payload)
    assert "novelty" in str(reason)
