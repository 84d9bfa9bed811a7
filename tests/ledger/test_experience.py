"""Logged decisions are read with what came of them, in either database."""

from random import Random

from msgspec.structs import replace

from decisions import TOKENS, decided, traffic
from ledger_rows import absorb
from routewright.ledger.experience import Logged, Only, read_decisions
from routewright.ledger.ledger import OutcomeRecorded, RequestRecorded
from routewright.ledger.store import Store
from terminal import NOON


def outcome(request_id: str, score: float, **changes: object) -> OutcomeRecorded:
    plain = OutcomeRecorded(
        outcome_id=f"{request_id}-{score}", request_id=request_id, at_ns=NOON, source="check", score=score
    )
    return replace(plain, **changes)


def test_decisions_come_oldest_first_with_their_answers_and_opinions(store: Store) -> None:
    events = traffic(30, scored=0.0)
    chosen = {each.request_id: each.model for each in events if isinstance(each, RequestRecorded)}
    more = [
        outcome("request-00003", 0.25, source="feedback"),
        outcome("request-00003", 0.75),
        outcome("request-00003", 1.0, model="other", source="shadow"),
        outcome("request-00004", 0.5),
    ]
    absorb(store, [*events, *more])
    found = read_decisions(store.database)
    assert [each.request_id for each in found.logged] == sorted(chosen)
    third, fourth, fifth = found.logged[3:6]
    assert third.scores == {chosen["request-00003"]: 0.25, "other": 1.0}, "feedback is believed before a check"
    assert (third.score, fourth.score, fifth.score) == (0.25, 0.5, None)
    assert [answer.usage for answer in third.answers] == [TOKENS]
    assert third.propensities[third.first_choice] == third.propensity
    assert sum(third.propensities.values()) == 1
    assert all(each.is_replayable for each in found.logged)


def test_what_nobody_answered_or_nobody_decided_is_counted_apart(store: Store) -> None:
    events = [each for each in traffic(6) if isinstance(each, RequestRecorded)]
    kept = [
        replace(events[0], model=None),
        replace(events[1], route=None),
        replace(events[2], cache="hit"),
        replace(events[3], cache="miss"),
        *events[4:],
    ]
    absorb(store, list(kept))
    found = read_decisions(store.database)
    assert (len(found.logged), found.unanswered, found.cached, found.cut) == (3, 2, 1, False)


def test_time_and_filters_choose_and_the_latest_are_taken(store: Store) -> None:
    events = [
        replace(each, team="a" if at % 4 else "b", tags=("night",) if at % 6 == 0 else ())
        if isinstance(each, RequestRecorded)
        else each
        for at, each in enumerate(traffic(20, scored=0.0))
    ]

    absorb(store, events)

    def read(**only: str) -> int:
        return len(read_decisions(store.database, only=Only(**only)).logged)

    assert (read(), read(team="a"), read(team="b"), read(tag="night"), read(team="c")) == (20, 10, 10, 7, 0)
    inside = read_decisions(store.database, NOON + 5, NOON + 8)
    assert [each.at_ns - NOON for each in inside.logged] == [5, 6, 7]
    latest = read_decisions(store.database, most=4)
    assert [each.at_ns - NOON for each in latest.logged] == [16, 17, 18, 19]
    assert latest.cut


def test_a_route_of_an_older_version_has_the_choice_it_says_and_cannot_be_replayed() -> None:
    route = replace(decided(0, Random(1)), first_choice="", asked=None)
    old = replace(route, written=tuple(replace(each, propensity=None) for each in route.candidates), propensity=0.5)
    logged = Logged(
        request_id="a", at_ns=0, route=old, model="strong", score=None, scores={}, cost_nanousd=0, answers=()
    )
    assert (logged.first_choice, dict(logged.propensities)) == (route.chosen.model, {route.chosen.model: 0.5})
    assert not logged.is_replayable
