from msgspec.structs import replace

from entries import CLASSIFIED, absorb, outcome, recorded, released, reserved, settled
from routewright.decision.drift import Quantity, Rules, Seen, Stream
from routewright.ledger.drift import DriftBook, Key, Marks
from routewright.ledger.store import Store

RULES = Rules(reference=50)
FEEDBACK = Key("small", Quantity.SUCCESS, "feedback")


def values(book: DriftBook, marks: Marks | None = None) -> dict[Key, list[float]]:
    """What there is to see after the marks."""
    found: dict[Key, list[float]] = {}
    for key, seen in book.page(marks or Marks(0, 0, 0), 100).seen:
        found.setdefault(key, []).append(seen.value)
    return found


def test_an_attempt_is_a_value_of_all_that_it_says_something_of(store: Store) -> None:
    absorb(store, reserved("a1"), settled("a1"), recorded("r1", route=CLASSIFIED))
    assert values(DriftBook(store.database)) == {
        Key("small", Quantity.FAILURES, ""): [0.0],
        Key("small", Quantity.LENGTH, ""): [11.0],
        Key("small", Quantity.LATENCY, ""): [34.0],
        Key("small", Quantity.COST, "translation"): [700.0],
    }


def test_a_cost_belongs_to_the_tier_where_the_kind_of_work_is_not_known(store: Store) -> None:
    absorb(store, settled("a1", tier="bulk"))
    assert Key("small", Quantity.COST, "bulk") in values(DriftBook(store.database))


def test_what_says_more_of_us_or_of_the_caller_is_passed_over(store: Store) -> None:
    absorb(store, released("a1", outcome="deployment_busy"), released("a2", outcome="upstream_rejected"))
    absorb(store, settled("a3", outcome="abandoned"), settled("a4", cause="judge"))
    assert values(DriftBook(store.database)) == {}
    absorb(store, settled("a5", is_estimated=True, cost_nanousd=None), settled("a6", service_tier="batch"))
    absorb(store, released("a7", outcome="upstream_failed"))
    found = values(DriftBook(store.database))
    assert found.pop(Key("small", Quantity.FAILURES, "")) == [0.0, 0.0, 1.0]
    assert set(found) == {Key("small", Quantity.LENGTH, ""), Key("small", Quantity.COST, "")}


def test_an_opinion_is_of_the_model_that_answered_or_that_is_named(store: Store) -> None:
    absorb(store, recorded("r1"), outcome(1, score=0.4), outcome(2, score=0.5, source="judge", model="large"))
    absorb(store, recorded("r2", model=None), outcome(3, request_id="r2"))
    assert values(DriftBook(store.database)) == {FEEDBACK: [1.0], Key("large", Quantity.SUCCESS, "judge"): [0.0]}


def test_an_answer_that_is_complained_of_again_and_again_is_one_bad_answer(store: Store) -> None:
    absorb(store, recorded("r1"), *(outcome(number, score=0.0) for number in range(5)))
    absorb(store, outcome(5, score=1.0, source="judge"), outcome(6, score=1.0, request_id="r2", model="small"))
    book = DriftBook(store.database)
    assert values(book) == {FEEDBACK: [1.0, 0.0], Key("small", Quantity.SUCCESS, "judge"): [0.0]}
    assert book.page(Marks(0, 0, 0), 100).marks.opinions == 7, "what is passed over is not looked at again"


def test_of_two_lookers_one_looks(store: Store) -> None:
    absorb(store, settled("a1"), recorded("r1"), outcome(1))
    one, other = DriftBook(store.database), DriftBook(store.database)
    marks = one.take(for_s=60)
    assert marks is not None
    assert other.take(for_s=60) is None
    page = one.page(marks, 100)
    assert one.keep({FEEDBACK: Stream(Quantity.SUCCESS)}, page.marks)
    one.let_go(page.marks)
    again = other.take(for_s=60)
    assert again is not None
    assert (again.answers, again.opinions) == (page.marks.answers, page.marks.opinions)
    assert other.page(again, 100).seen == []


def test_who_was_too_slow_counts_nothing(store: Store) -> None:
    slow, next_one = DriftBook(store.database), DriftBook(store.database)
    marks = slow.take(for_s=0)
    taken = next_one.take(for_s=60)
    assert marks is not None
    assert taken is not None
    assert not slow.keep({FEEDBACK: Stream(Quantity.SUCCESS)}, replace(marks, answers=9))
    assert slow.streams() == {}
    slow.let_go(marks)
    assert slow.take(for_s=60) is None, "it is still the next one's look"


def test_streams_are_read_as_they_were_kept(store: Store) -> None:
    book = DriftBook(store.database)
    marks = book.take(for_s=60)
    assert marks is not None
    stream = Stream(Quantity.SUCCESS)
    stream.see(Seen(1.0, 5, "r1"), RULES, 0.0)
    assert book.keep({FEEDBACK: stream}, marks)
    assert book.streams() == {FEEDBACK: stream}
    assert (book.standing(), book.alarms()) == ({FEEDBACK: False}, {})


def test_a_new_reference_ends_a_look_that_would_bring_the_old_one_back(store: Store) -> None:
    book = DriftBook(store.database)
    marks = book.take(for_s=60)
    assert marks is not None
    large = FEEDBACK._replace(model="large")
    assert book.keep({FEEDBACK: Stream(Quantity.SUCCESS), large: Stream(Quantity.SUCCESS)}, marks)
    assert book.pin("small") == 1
    assert not book.keep({FEEDBACK: Stream(Quantity.SUCCESS)}, marks)
    assert set(book.streams()) == {large}
