from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from routewright.errors import Overloaded
from routewright.ledger import balances as balances_module
from routewright.ledger.balances import Balances
from routewright.ledger.budgets import Budget, Grant, Period, Scope
from routewright.ledger.ledger import NANOSECONDS, Charge
from routewright.tenant import NOBODY, Tenant

DAY_NS = 86_400 * NANOSECONDS
HOUR_NS = 3_600 * NANOSECONDS
RESEARCH = Tenant(key="k1", team="research", tags=("blue",))


def at(text: str) -> int:
    """UTC nanoseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * NANOSECONDS


NOON = at("2026-03-10T12:00")


def budget(
    name: str = "all", scope: Scope = Scope.TOTAL, subject: str = "", limit: int = 100, **changes: object
) -> Budget:
    plain = Budget(name=name, scope=scope, subject=subject, limit_nanousd=limit, period=Period.DAY)
    return replace(plain, **changes)


def grant(granted: int, **changes: object) -> Grant:
    plain = Grant(
        granted_nanousd=granted,
        posted_nanousd=0,
        leased_nanousd=granted,
        is_frozen=False,
        is_wanted_elsewhere=False,
        lasts_s=30.0,
    )
    return replace(plain, **changes)


class Desk:
    """Balances whose budgets are granted whole as soon as they are charged."""

    def __init__(self, *budgets: Budget) -> None:
        self.balances = Balances(budgets)
        self.now_ns = NOON

    def charges(
        self, tenant: Tenant = NOBODY, tags: tuple[str, ...] = (), model: str = "m", cause: str = "first"
    ) -> tuple[Charge, ...]:
        return self.balances.charges_for(tenant, tags, model, cause, self.now_ns)

    def granted(self, tenant: Tenant = NOBODY) -> tuple[Charge, ...]:
        """The charges of an attempt, with the whole of each limit granted."""
        charges = self.charges(tenant, tenant.tags)
        for position in self.balances.positions(self.now_ns):
            self.balances.grant(position.charge, grant(position.budget.limit_nanousd), self.balances.steady())
        return charges


# ---- which budgets and windows


def test_every_budget_that_fits_an_attempt_applies_and_no_other() -> None:
    desk = Desk(
        budget("all"),
        budget("key", Scope.KEY, "k1"),
        budget("other-key", Scope.KEY, "k2"),
        budget("teams", Scope.TEAM),
        budget("blue", Scope.TAG, "blue"),
        budget("tags", Scope.TAG),
        budget("model", Scope.MODEL, "m"),
        budget("judges", Scope.CAUSE, "judge"),
    )
    charged = [charge.budget for charge in desk.charges(RESEARCH, ("blue", "red"), "m", "judge")]
    assert charged == ["all", "key", "teams/research", "blue", "tags/blue", "tags/red", "model", "judges"]
    assert [charge.budget for charge in desk.charges()] == ["all", "model"]
    assert Desk().charges(RESEARCH) == ()


def test_each_subject_of_a_budget_for_each_has_its_own_window() -> None:
    desk = Desk(budget("teams", Scope.TEAM, limit=50))
    research, sales = desk.granted(Tenant(team="research")), desk.granted(Tenant(team="sales"))
    assert desk.balances.admit("a", research, 50) is None
    assert desk.balances.admit("b", sales, 50) is None
    refusal = desk.balances.admit("c", research, 1)
    assert refusal is not None
    assert (refusal.budget.name, refusal.budget.subject) == ("teams/research", "research")


def test_t01_a_clock_that_is_set_back_reopens_no_window_and_lends_nothing_twice() -> None:
    desk = Desk(budget())
    (today,) = desk.granted()
    assert desk.balances.admit("a", (today,), 100) is None
    desk.balances.settle("a", 100)
    desk.now_ns += DAY_NS
    (tomorrow,) = desk.granted()
    assert tomorrow.starts_ns == today.starts_ns + DAY_NS
    desk.now_ns -= DAY_NS
    assert desk.charges() == (tomorrow,)
    desk.now_ns -= 40 * DAY_NS
    assert desk.charges() == (tomorrow,)
    desk.balances.adopt([budget(limit=120)])
    assert desk.charges() == (tomorrow,), "nor do new settings"


def test_t01_a_day_of_23_hours_ends_at_its_own_midnight() -> None:
    desk = Desk(budget(time_zone="Europe/Berlin"))
    desk.now_ns = at("2026-03-28T23:30")  # 00:30 in Berlin, on the day when summer time begins
    (long_ago,) = desk.charges()
    desk.now_ns = at("2026-03-29T21:59")
    assert desk.charges() == (long_ago,)
    desk.now_ns = at("2026-03-29T22:00")
    assert desk.charges() == (Charge("all", at("2026-03-29T22:00")),)


def test_m02_a_reset_is_a_new_window_and_what_is_held_in_the_old_one_is_settled_there() -> None:
    desk = Desk(budget())
    before = desk.granted()
    assert desk.balances.admit("late", before, 100) is None
    desk.now_ns = at("2026-03-11")
    after = desk.granted()
    assert desk.balances.admit("early", after, 100) is None, "the new window owes nothing to the old one"
    desk.balances.settle("late", 70)
    (standing,) = desk.balances.standings(desk.now_ns)
    assert (standing.spent_nanousd, standing.held_nanousd) == (0, 100)
    with pytest.raises(KeyError):
        desk.balances.refusal(before, 0)  # forgotten, as nothing is held there any more


@pytest.mark.parametrize("tight", ["all", "teams/research", "k1"])
def test_m02_nested_budgets_are_charged_all_or_none(tight: str) -> None:
    limits = {"all": 1000, "teams": 1000, "k1": 1000, tight.split("/", maxsplit=1)[0]: 10}
    desk = Desk(
        budget("all", limit=limits["all"]),
        budget("teams", Scope.TEAM, limit=limits["teams"]),
        budget("k1", Scope.KEY, "k1", limit=limits["k1"]),
    )
    charges = desk.granted(RESEARCH)
    refusal = desk.balances.admit("a", charges, 11)
    assert refusal is not None
    assert refusal.budget.name == tight
    assert {standing.held_nanousd for standing in desk.balances.standings(desk.now_ns)} == {0}
    assert desk.balances.admit("b", charges, 10) is None
    assert {standing.held_nanousd for standing in desk.balances.standings(desk.now_ns)} == {10}
    assert desk.balances.room(charges) == 0
    assert desk.balances.remaining(charges) == 0


def test_of_two_budgets_that_refuse_the_one_that_never_will_fit_is_named() -> None:
    desk = Desk(budget("all", limit=1000), budget("teams", Scope.TEAM, limit=5))
    charges = desk.charges(RESEARCH)  # nothing is granted of either
    refusal = desk.balances.admit("a", charges, 10)
    assert refusal is not None
    assert (refusal.budget.name, refusal.is_final, refusal.may_be_granted) == ("teams/research", True, False)


def test_more_windows_than_the_bound_are_refused_until_some_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balances_module, "MOST_WINDOWS", 2)
    desk = Desk(budget("teams", Scope.TEAM))
    first = desk.granted(Tenant(team="a"))
    assert desk.balances.admit("open", first, 1) is None
    desk.granted(Tenant(team="b"))
    with pytest.raises(Overloaded, match="2 windows of budgets"):
        desk.charges(Tenant(team="c"))
    desk.now_ns += 3 * DAY_NS
    desk.charges(Tenant(team="c"))
    desk.balances.settle("open", 1)
    assert [position.charge.budget for position in desk.balances.positions(desk.now_ns)] == ["teams/c"]
    desk.balances.adopt([budget("teams", Scope.TEAM), budget()])
    assert len(desk.charges(Tenant(team="c"))) == 2, "a budget of one subject has its window whatever others have"


# ---- holds


def test_a_hold_is_replaced_by_what_the_attempt_cost() -> None:
    desk = Desk(budget())
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 60) is None
    assert desk.balances.admit("b", charges, 41) is not None
    desk.balances.settle("a", 20)
    assert desk.balances.admit("b", charges, 80) is None
    desk.balances.release("b")
    (standing,) = desk.balances.standings(desk.now_ns)
    assert (standing.spent_nanousd, standing.held_nanousd, standing.remaining_nanousd) == (20, 0, 80)


def test_closing_a_hold_that_is_not_there_is_told_and_changes_no_money(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(budget())
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 60) is None
    desk.balances.settle("a", 60)
    desk.balances.settle("a", 60)
    desk.balances.release("never")
    assert desk.balances.room(charges) == 40
    assert caplog.text.count("a bug: attempt") == 2


def test_a_soft_budget_is_counted_and_never_refuses() -> None:
    desk = Desk(budget(is_hard=False))
    charges = desk.charges()
    assert desk.balances.admit("a", charges, 1_000) is None
    desk.balances.settle("a", 1_500)
    (standing,) = desk.balances.standings(desk.now_ns)
    assert (standing.spent_nanousd, standing.remaining_nanousd, standing.is_frozen) == (1_500, 0, False)
    assert desk.balances.room(charges) is None
    assert desk.balances.remaining(charges) is None
    assert desk.balances.remaining([Charge("long ago", 0)]) is None
    assert not desk.balances.is_metered(charges)
    assert not desk.balances.has_hard


def test_m04_a_cost_above_its_hold_is_posted_in_full_and_freezes_the_hard_budgets() -> None:
    desk = Desk(budget("all"), budget("soft", is_hard=False))
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 10) is None
    desk.balances.settle("a", 30)
    assert desk.balances.overruns == 1
    refusal = desk.balances.admit("b", charges, 1)
    assert refusal is not None
    assert refusal.is_frozen
    assert refusal.is_final
    assert not refusal.may_be_granted
    assert desk.balances.room(charges) == 0
    hard, soft = desk.balances.standings(desk.now_ns)
    assert (hard.spent_nanousd, hard.is_frozen) == (30, True)
    assert (soft.spent_nanousd, soft.is_frozen) == (30, False)


def test_m04_a_frozen_budget_thaws_when_the_escrow_has_said_both() -> None:
    desk = Desk(budget())
    (charge,) = desk.granted()
    assert desk.balances.admit("a", (charge,), 10) is None
    desk.balances.settle("a", 11)
    desk.balances.grant(charge, grant(100), 0)
    assert desk.balances.refusal((charge,), 1) is not None, "the settlement had not arrived yet"
    desk.balances.grant(charge, grant(100, is_frozen=True, posted_nanousd=11), 0)
    desk.balances.grant(charge, grant(100, posted_nanousd=11), 0)
    assert desk.balances.refusal((charge,), 1) is None
    desk.balances.grant(charge, grant(100, is_frozen=True), 0)
    assert desk.balances.refusal((charge,), 1) is not None, "another process may freeze it too"


# ---- grants


def test_nothing_is_admitted_beyond_what_is_granted_and_the_refusal_says_that_more_may_be() -> None:
    desk = Desk(budget())
    charges = desk.charges()
    refusal = desk.balances.admit("a", charges, 10)
    assert refusal is not None
    assert refusal.may_be_granted
    assert not refusal.is_final
    desk.balances.grant(charges[0], grant(30, posted_nanousd=50, leased_nanousd=45), 0)
    refusal = desk.balances.admit("a", charges, 31)
    assert refusal is not None
    assert (refusal.spent_nanousd, refusal.elsewhere_nanousd, refusal.asked_nanousd) == (50, 15, 31)
    assert refusal.may_be_granted
    refusal = desk.balances.admit("a", charges, 51)
    assert refusal is not None
    assert refusal.is_final
    assert desk.balances.admit("a", charges, 30) is None


def test_what_is_wanted_is_told_to_whoever_asks_the_escrow() -> None:
    desk = Desk(budget("all"), budget("teams", Scope.TEAM))
    charges = desk.granted(RESEARCH)
    assert desk.balances.admit("a", charges, 70) is None
    desk.balances.settle("a", 30)
    assert desk.balances.admit("b", charges, 60) is None
    desk.balances.want(1, charges, 50)
    desk.balances.want(2, charges[:1], 7)
    told = {each.budget.name: (each.used_nanousd, each.needed_nanousd) for each in desk.balances.positions(NOON, 0)}
    assert told == {"all": (90, 147), "teams/research": (90, 140)}
    desk.balances.stop_wanting(1)
    desk.balances.stop_wanting(2)
    desk.balances.stop_wanting(2)
    assert desk.balances.positions(NOON, 0) == []


def test_positions_are_given_a_few_at_a_time_in_turn() -> None:
    desk = Desk(*(budget(name) for name in "abc"))
    desk.charges()
    seen = [[each.budget.name for each in desk.balances.positions(NOON, 2)] for _ in range(3)]
    assert seen == [["a", "b"], ["c", "a"], ["b", "c"]]


def test_what_is_spare_can_be_given_back() -> None:
    desk = Desk(budget())
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 40) is None
    assert desk.balances.spare(charges[0]) == 60
    assert desk.balances.give_back(charges[0]) == 40
    assert desk.balances.spare(charges[0]) == 0
    assert desk.balances.admit("b", charges, 1) is not None
    desk.balances.settle("a", 10)
    assert desk.balances.give_back(charges[0]) == 10
    gone = Charge("gone", 0)
    assert (desk.balances.spare(gone), desk.balances.give_back(gone)) == (0, 0)
    desk.balances.grant(gone, grant(5), 0)


@pytest.mark.parametrize("shift_ns", [-DAY_NS // 2, 0, DAY_NS // 4])
def test_t01_a_grant_lapses_by_the_time_that_has_passed_wherever_the_clock_is_set(shift_ns: int) -> None:
    desk = Desk(budget())
    desk.granted()
    desk.now_ns += shift_ns
    desk.balances.steady = lambda: 30.0
    assert desk.balances.admit("a", desk.charges(), 40) is None
    desk.balances.steady = lambda: 30.1
    assert desk.balances.admit("b", desk.charges(), 1) is not None
    desk.balances.settle("a", 40)
    desk.granted()
    assert desk.balances.admit("b", desk.charges(), 60) is None


def test_who_waits_is_told_when_room_is_made() -> None:
    desk, told = Desk(budget()), []
    desk.balances.on_room = lambda: told.append(desk.balances.room(charges))
    charges = desk.charges()
    desk.balances.grant(charges[0], grant(100), 0)
    desk.balances.admit("a", charges, 100)
    desk.balances.settle("a", 60)
    desk.balances.admit("b", charges, 40)
    desk.balances.release("b")
    assert told == [100, 40, 40]


def test_those_who_fit_together_are_found_in_their_order_and_those_who_never_will() -> None:
    desk = Desk(budget())
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 50) is None
    asked = [(1, charges, 30), (2, charges, 30), (3, charges, 20), (4, charges, 101)]
    assert desk.balances.fitting(asked) == [1, 3, 4]
    assert desk.balances.room(charges) == 50, "looking holds nothing"
    assert desk.balances.fitting([(1, charges, 51), (2, charges, 60), (3, charges, 40)]) == [3]


def test_a_frozen_budget_lets_nobody_wait() -> None:
    desk = Desk(budget())
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 50) is None
    desk.balances.settle("a", 51)
    assert desk.balances.fitting([(1, charges, 0), (2, charges, 10)]) == [1, 2]


def test_who_waits_for_a_budget_that_became_soft_need_not_wait() -> None:
    desk = Desk(budget())
    charges = desk.charges()
    desk.balances.want(1, charges, 10)
    desk.balances.adopt([budget(is_hard=False)])
    desk.charges()
    assert desk.balances.fitting([(1, charges, 10)]) == [1]


# ---- other budgets while running


def test_new_budgets_keep_what_is_counted() -> None:
    desk = Desk(budget(limit=100))
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 40) is None
    desk.balances.settle("a", 40)
    desk.balances.adopt([budget(limit=200), budget("teams", Scope.TEAM)])
    assert [charge.budget for charge in desk.charges(RESEARCH)] == ["all", "teams/research"]
    standing = desk.balances.standings(desk.now_ns)[0]
    assert (standing.budget.limit_nanousd, standing.spent_nanousd, standing.remaining_nanousd) == (200, 40, 160)


def test_a_lowered_limit_takes_back_what_was_granted_and_not_used() -> None:
    desk = Desk(budget(limit=100))
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 40) is None
    desk.balances.adopt([budget(limit=50)])
    refusal = desk.balances.admit("b", desk.charges(), 5)
    assert refusal is not None
    assert refusal.may_be_granted


def test_a_budget_that_is_taken_away_is_not_charged_and_its_hold_still_closes() -> None:
    desk = Desk(budget("old"), budget("all"))
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 40) is None
    desk.balances.adopt([budget("all")])
    assert [charge.budget for charge in desk.charges()] == ["all"]
    assert [standing.budget.name for standing in desk.balances.standings(desk.now_ns)] == ["all"]
    desk.balances.settle("a", 40)
    desk.balances.adopt([budget("old"), budget("all")])
    assert desk.balances.admit("b", desk.charges(), 61) is not None, "what it had spent is still known"


def test_another_period_under_the_same_name_is_another_window() -> None:
    desk = Desk(budget())
    day = desk.granted()
    desk.balances.adopt([budget(period=Period.FOREVER)])
    assert desk.charges() == (Charge("all", 0),)
    desk.balances.adopt([budget(period=Period.DAY)])
    assert desk.charges() == day


def test_no_budgets_are_no_budgets() -> None:
    assert not Balances()
    assert Balances([budget()])


def test_t01_a_window_that_is_over_is_remembered_for_two_days() -> None:
    desk = Desk(budget())
    charges = desk.granted()
    assert desk.balances.admit("a", charges, 60) is None
    desk.balances.settle("a", 60)
    ends_ns = charges[0].starts_ns + DAY_NS
    assert desk.balances.positions(ends_ns + 2 * DAY_NS - 1) == [], "nothing more is granted in it"
    (standing,) = desk.balances.standings(NOON)
    assert standing.spent_nanousd == 60, "the clock was set back into it"
    assert desk.balances.positions(ends_ns + 2 * DAY_NS) == []
    (standing,) = desk.balances.standings(NOON)
    assert standing.spent_nanousd == 0


def test_t01_what_was_found_before_is_not_charged_once_its_window_is_forgotten() -> None:
    desk = Desk(budget())
    charges = desk.granted()
    assert desk.charges() is charges, "found without a search"
    assert desk.balances.positions(charges[0].starts_ns + 3 * DAY_NS) == [], "it is forgotten"
    assert desk.balances.room(desk.charges()) == 0, "the clock was set back: a new one, of which nothing is granted"


def test_beyond_their_bound_all_combinations_are_searched_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routewright.ledger.balances.MOST_FOUND", 2)
    desk = Desk(budget())
    charges = desk.charges()
    for model in ("swift", "dear", "vast"):
        assert desk.balances.charges_for(RESEARCH, (), model, "first", NOON) == charges
    assert len(desk.balances._found) <= 2


def test_a_grant_lasts_to_its_last_moment() -> None:
    desk = Desk(budget())
    desk.granted()
    desk.balances.steady = lambda: 30.0
    assert desk.balances.room(desk.charges()) == 100
    desk.balances.steady = lambda: 30.001
    assert desk.balances.room(desk.charges()) == 0


def test_of_nested_budgets_the_tighter_one_says_who_need_not_wait() -> None:
    desk = Desk(budget("all"), budget("teams", Scope.TEAM, limit=10))
    charges = desk.charges(RESEARCH)
    assert desk.balances.fitting([(1, charges, 10), (2, charges, 11)]) == [2]


def test_what_a_soft_budget_is_told_is_no_grant_when_it_becomes_hard() -> None:
    soft = budget(is_hard=False)
    desk = Desk(soft)
    charges = desk.charges()
    desk.balances.admit("a", charges, 60)
    (asked,) = desk.balances.positions(NOON)
    desk.balances.settle("a", 10)
    desk.balances.grant(asked.charge, grant(asked.granted_nanousd), 0)
    desk.balances.adopt([budget()])
    assert desk.balances.room(desk.charges()) == 0
    desk.balances.grant(asked.charge, grant(asked.granted_nanousd), 0)  # asked while it was soft, answered late
    assert desk.balances.room(charges) == 0


def test_a_period_that_is_changed_and_changed_back_is_still_counted() -> None:
    desk = Desk(budget())
    charges = desk.granted()
    desk.balances.admit("a", charges, 60)
    desk.balances.settle("a", 60)
    desk.balances.adopt([budget(period=Period.MONTH)])
    desk.charges()
    desk.balances.adopt([budget()])
    assert desk.charges() == charges
    desk.balances.grant(charges[0], grant(100), 0)
    assert desk.balances.room(charges) == 40
