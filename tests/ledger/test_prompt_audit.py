"""System prompts by month, in either database."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from databases import database_of
from entries import DAY, absorb, recorded
from routewright.ledger.ledger import RequestRecorded
from routewright.ledger.prompt_audit import OTHER, PromptAudit, absorb_prompts, month_before
from routewright.ledger.sqlite import SqliteDatabase
from routewright.ledger.store import Store
from routewright.usage import InputParts

OCTOBER, NOVEMBER = 1_790_812_800 * 10**9 + DAY, 1_793_491_200 * 10**9 + DAY


def prompted(request: str, name: str = "p1", **changes: object) -> RequestRecorded:
    """A request with a system prompt of 600 of its 1,000 tokens, for $0.0006 of its input's $0.001."""
    plain: dict[str, object] = {
        "at_ns": NOVEMBER,
        "input_parts": InputParts(system=600, user=400),
        "input_cost_nanousd": 1_000_000,
        "system_cost_nanousd": 600_000,
        "system_hash": name,
        "system_opening": "o1",
        "system_chars": 2_400,
    }
    return recorded(request, **{**plain, **changes})


def test_requests_are_added_up_by_month_and_prompt(store: Store) -> None:
    absorb(store, prompted("r1"), prompted("r2"), prompted("r3", "p2"), prompted("r4", at_ns=OCTOBER))
    absorb(store, prompted("r5", at_ns=NOVEMBER - 5))
    audit = store.prompt_audit()
    october, november = audit.months
    assert (october.month, october.prompts, october.requests, october.tokens) == ("2026-10", 1, 1, 600)
    assert (november.month, november.prompts, november.requests, november.cost_nanousd) == ("2026-11", 2, 4, 2_400_000)
    first, second = audit.prompts
    assert (first.hash, first.requests, first.tokens, first.cost_nanousd) == ("p1", 3, 1_800, 1_800_000)
    assert (first.characters, first.opening, first.first_seen_ns) == (2_400, "o1", OCTOBER)
    assert (second.hash, second.requests) == ("p2", 1)
    assert [month.month for month in store.prompt_audit(since="2026-11").months] == ["2026-11"]
    assert [prompt.requests for prompt in store.prompt_audit(until="2026-10").prompts] == [1]
    assert store.prompt_audit(since="2026-12") == PromptAudit(months=(), prompts=())


def test_growth_is_told_by_what_versions_of_a_prompt_share(store: Store) -> None:
    september = OCTOBER - 31 * DAY
    absorb(store, prompted("r1", at_ns=OCTOBER), prompted("r2", "p2", at_ns=OCTOBER, input_parts=InputParts(100)))
    absorb(store, prompted("r3", "p3"), prompted("r4", "p4", system_opening="o2"), prompted("r5", at_ns=september))
    told = {each.hash: (each.requests_before, each.tokens_before) for each in store.prompt_audit().prompts}
    assert told == {"p3": (2, 700), "p4": (0, 0)}


def test_the_month_before_january_is_december() -> None:
    assert (month_before("2026-11"), month_before("2027-01")) == ("2026-10", "2026-12")


def test_request_delivered_twice_counts_once(store: Store) -> None:
    absorb(store, prompted("r1"))
    absorb(store, prompted("r1"), prompted("r2"))
    assert [row.requests for row in store.prompt_audit().prompts] == [2]


def test_only_answered_requests_with_a_prompt_are_counted(store: Store) -> None:
    absorb(store, prompted("r1", model=None), prompted("r2", system_hash=""), recorded("r3"))
    assert store.prompt_audit().months == ()


def test_what_is_not_priced_is_told_apart_from_what_is_free(store: Store) -> None:
    absorb(store, prompted("r1", input_cost_nanousd=None, system_cost_nanousd=None), prompted("r2"))
    (row,) = store.prompt_audit().prompts
    assert (row.requests, row.unpriced, row.cost_nanousd) == (2, 1, 600_000)


def test_how_a_prompt_begins_is_kept_from_when_it_may_be(store: Store) -> None:
    absorb(store, prompted("r1"))
    absorb(store, prompted("r2", system_preview="You are"))
    absorb(store, prompted("r3"))
    assert [row.preview for row in store.prompt_audit().prompts] == ["You are"]


def test_prompts_beyond_the_bound_share_a_row(store: Store) -> None:
    database = database_of(store)
    absorb(store, prompted("r1"), prompted("r2", "p2"))
    for name in ("p3", "p4", "p2"):
        absorb(store, prompted(f"{name}-more", name, model=None))
        with database.transaction() as transaction:
            new = f"(SELECT * FROM requests WHERE request_id = '{name}-more')"  # noqa: S608 names from here
            transaction.execute("UPDATE requests SET model = 'small' WHERE request_id = ?", f"{name}-more")
            absorb_prompts(transaction, new, most=2)
    rows = store.prompt_audit().prompts
    assert [(row.hash, row.requests) for row in rows] == [("p2", 2), ("p1", 1), (OTHER, 2)]
    assert (rows[-1].characters, rows[-1].first_seen_ns, rows[-1].preview) == (0, 0, "")


PROMPTED = st.builds(
    lambda name, tokens, cost, at: prompted(
        "", name, at_ns=at, input_parts=InputParts(system=tokens), system_cost_nanousd=cost
    ),
    st.sampled_from(["p1", "p2", "p3"]),
    st.integers(0, 10**6),
    st.none() | st.integers(0, 10**12),
    st.sampled_from([OCTOBER, NOVEMBER, NOVEMBER + DAY]),
)


@settings(deadline=None)
@given(st.lists(PROMPTED, max_size=8))
def test_every_token_is_counted_in_one_month_and_prompt(drawn: list[RequestRecorded]) -> None:
    requests = [replace(request, request_id=f"r{at}") for at, request in enumerate(drawn)]
    with TemporaryDirectory() as folder:
        store = Store(SqliteDatabase(Path(folder) / "ledger.db"))
        absorb(store, *requests)
        rows = store.prompt_audit().months
        store.close()
    assert sum(row.tokens for row in rows) == sum(request.input_parts.system for request in requests)
    assert sum(row.cost_nanousd for row in rows) == sum(request.system_cost_nanousd or 0 for request in requests)
    assert sum(row.requests for row in rows) == len(requests)


def test_one_batch_alone_may_go_beyond_the_bound(store: Store) -> None:
    absorb(store, *(prompted(f"r{at}", f"p{at}", model=None) for at in range(5)))
    with database_of(store).transaction() as transaction:
        transaction.execute("UPDATE requests SET model = 'small'")
        absorb_prompts(transaction, "requests", most=2)
    audit = store.prompt_audit()
    assert [(row.hash, row.requests) for row in audit.prompts] == [("p0", 1), ("p1", 1), (OTHER, 3)]
    assert (audit.months[0].prompts, audit.months[0].requests, audit.months[0].tokens) == (2, 5, 3_000)
