from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from databases import open_database
from routewright.errors import LedgerUnavailable, PolicyNotFound, PolicyRefused
from routewright.ledger.database import Database
from routewright.policies import store as module
from routewright.policies.overlay import NOTHING
from routewright.policies.store import AS_SETTINGS, PolicyStore
from routewright.settings.schema import Overlay
from routewright.testing import FakeClock

BOLD, SHY = Overlay(confidence_threshold=0.5), Overlay(confidence_threshold=0.9, tiers={})


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    database = open_database(place)
    yield database
    database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def policies(database: Database, clock: FakeClock) -> PolicyStore:
    return PolicyStore(database, clock)


def in_force(policies: PolicyStore) -> dict[str, tuple[int, float | None]]:
    standings = policies.in_force().standings
    return {name: (standing.version.number, standing.share) for name, standing in standings.items()}


def test_a_version_comes_back_as_it_was_written(policies: PolicyStore, clock: FakeClock) -> None:
    evidence = {"saving": {"share": 0.61, "interval": [0.57, 0.65]}, "promise": "at most 2 % worse"}
    written = policies.apply("default", BOLD, author="tune", evidence=evidence, reason="cheaper")
    assert (written.number, written.at_ns, written.author) == (1, clock.time_ns(), "tune")
    assert policies.versions() == policies.versions("default") == [written]
    assert policies.version("default", 1) == written
    assert policies.in_force().standings["default"].version == written
    assert policies.history()[0].reason == "cheaper"


def test_the_latest_version_is_in_force_and_each_name_counts_its_own(policies: PolicyStore) -> None:
    for name in ("default", "default", "trial"):
        policies.apply(name, BOLD, author="me")
    assert in_force(policies) == {"default": (2, None), "trial": (1, None)}


def test_the_newest_come_first_and_only_so_many(policies: PolicyStore) -> None:
    for floor in (0.1, 0.2, 0.3):
        policies.apply("trial", Overlay(min_quality=floor), author="a test")
    policies.apply("other", NOTHING, author="a test")
    assert [version.number for version in policies.latest_versions("trial", 2)] == [3, 2]
    assert [(change.name, change.number) for change in policies.latest_changes(2)] == [("other", 1), ("trial", 3)]


def test_a_rollback_goes_back_version_by_version_to_what_the_settings_say(policies: PolicyStore) -> None:
    for overlay in (BOLD, SHY):
        policies.apply("default", overlay, author="me")
    assert policies.rollback("default", author="me").number == 1
    assert policies.in_force().standings["default"].version.overlay == BOLD
    assert policies.rollback("default", author="me", reason="the promise is broken").number == AS_SETTINGS
    assert policies.in_force().standings == {}
    with pytest.raises(PolicyNotFound, match="no version in force to go back from"):
        policies.rollback("default", author="me")
    assert [(change.kind, change.number) for change in policies.history()] == [
        ("apply", 1),
        ("apply", 2),
        ("rollback", 1),
        ("rollback", 0),
    ]


def test_a_rollback_may_name_the_version_also_a_later_one(policies: PolicyStore) -> None:
    for overlay in (BOLD, SHY, NOTHING):
        policies.apply("trial", overlay, author="me")
    policies.rollback("trial", author="me", to=1)
    policies.rollback("trial", author="me", to=3)
    assert in_force(policies) == {"trial": (3, None)}
    policies.rollback("trial", author="me", to=AS_SETTINGS)
    assert in_force(policies) == {}
    policies.apply("trial", BOLD, author="me")
    assert in_force(policies) == {"trial": (4, None)}
    with pytest.raises(PolicyNotFound, match="has no version 5"):
        policies.rollback("trial", author="me", to=5)


def test_a_share_stays_until_another_is_given(policies: PolicyStore) -> None:
    policies.apply("trial", BOLD, author="me", share=10)
    policies.apply("trial", SHY, author="me")
    assert in_force(policies) == {"trial": (2, 10)}
    policies.rollback("trial", author="me")
    assert in_force(policies) == {"trial": (1, 10)}
    policies.apply("trial", SHY, author="me", share=0)
    assert in_force(policies) == {"trial": (3, 0)}


def test_the_switch_is_a_row_of_its_own_and_forgets_no_version(policies: PolicyStore) -> None:
    policies.apply("trial", BOLD, author="me", share=10)
    policies.switch(on=False, author="me", reason="an outage")
    assert policies.in_force().is_off
    assert in_force(policies) == {"trial": (1, 10)}
    policies.switch(on=True, author="me")
    assert not policies.in_force().is_off


def test_every_change_is_told_by_one_number(policies: PolicyStore) -> None:
    assert policies.sequence() == policies.in_force().sequence == 0
    policies.apply("trial", BOLD, author="me")
    policies.switch(on=False, author="me")
    assert policies.sequence() == policies.in_force().sequence == 2


@pytest.mark.parametrize(("name", "share"), [("", 1), ("Two Words", 1), ("x" * 65, 1), ("fine", 101), ("fine", -1)])
def test_what_cannot_be_a_policy_is_refused_and_changes_nothing(policies: PolicyStore, name: str, share: float) -> None:
    with pytest.raises(PolicyRefused):
        policies.apply(name, BOLD, author="me", share=share)
    assert (policies.sequence(), policies.versions()) == (0, [])


def test_there_are_only_so_many_versions(policies: PolicyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VERSIONS", 1)
    policies.apply("trial", BOLD, author="me")
    with pytest.raises(PolicyRefused, match="versions already"):
        policies.apply("trial", SHY, author="me")
    assert in_force(policies) == {"trial": (1, None)}
    assert policies.sequence() == 1


def test_too_much_evidence_is_refused(policies: PolicyStore) -> None:
    with pytest.raises(PolicyRefused, match="256 KiB"):
        policies.apply("trial", BOLD, author="me", evidence={"all": "x" * 300_000})


def test_two_that_write_at_once_get_two_numbers(policies: PolicyStore) -> None:
    with ThreadPoolExecutor(2) as threads:
        written = list(threads.map(lambda _: policies.apply("trial", BOLD, author="me").number, range(8)))
    assert sorted(written) == list(range(1, 9))
    assert in_force(policies) == {"trial": (8, None)}


def test_a_version_of_a_newer_routewright_is_told_and_not_guessed_and_hides_nothing_else(
    policies: PolicyStore, database: Database
) -> None:
    policies.apply("trial", BOLD, author="me")
    with database.transaction() as transaction:
        transaction.execute("UPDATE policy_versions SET overlay = ?", '{"cascade": "agreement"}')
    policies.apply("other", SHY, author="me")
    policies.switch(on=False, author="me")
    known = policies.in_force()
    assert known.is_off
    assert known.standings.keys() == {"other"}
    assert 'version 1 cannot be read: unknown key "cascade"' in known.unreadable["trial"]
    with pytest.raises(LedgerUnavailable, match="policy trial, version 1 cannot be read"):
        policies.versions()
