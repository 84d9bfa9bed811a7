from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from databases import open_database
from routewright.access import keyring as module
from routewright.access.description import read_wish
from routewright.access.format import read_id
from routewright.access.installation import Installation
from routewright.access.keyring import Keyring
from routewright.access.keys import VirtualKey
from routewright.errors import InvalidRequest, KeyNotFound, SettingsError
from routewright.ledger.database import Database
from routewright.secret import Secret
from routewright.testing import FakeClock

FULL = {
    "name": "app",
    "team": "research",
    "tags": ["nightly", "eval"],
    "roles": ["use", "read"],
    "models": ["auto", "swift"],
    "tiers": ["bulk"],
    "budgets": [{"limit_usd": "10.5", "period": "month"}, {"limit_usd": "1", "period": "day", "is_hard": False}],
    "requests_per_minute": 60,
    "tokens_per_minute": 10_000,
    "concurrency": 4,
    "when_left": "finish",
    "not_before": "2026-01-01T00:00:00Z",
    "expires_at": "2030-01-01T00:00:00+02:00",
}


@pytest.fixture
def database(place: Path | str) -> Iterator[Database]:
    database = open_database(place)
    yield database
    database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keyring(database: Database, clock: FakeClock, tmp_path: Path) -> Keyring:
    return Keyring(database, Installation(None, tmp_path), clock)


def test_a_key_comes_back_as_it_was_made(keyring: Keyring, clock: FakeClock) -> None:
    issued = keyring.create(read_wish(FULL))
    key = keyring.get(issued.key.id)
    assert key == issued.key
    assert replace(key, id="", created_at_ns=0, hmac="") == read_wish(FULL)
    assert key.created_at_ns == clock.time_ns()
    assert read_id(issued.text.reveal()) == key.id
    assert keyring.list() == [key]


def test_x14_only_an_hmac_of_a_key_is_in_the_database(keyring: Keyring, database: Database, tmp_path: Path) -> None:
    issued = keyring.create(read_wish(FULL))
    text = issued.text.reveal()
    secret = text.split("-")[2]
    rows = [*database.read("SELECT * FROM virtual_keys"), *database.read("SELECT * FROM access_state")]
    assert issued.key.hmac in repr(rows)
    assert secret not in repr(rows)
    database.close()
    for file in tmp_path.iterdir():
        assert secret.encode() not in file.read_bytes()
    assert text not in repr(issued)


def test_every_change_is_told_by_number_and_only_what_changed_is_read(keyring: Keyring) -> None:
    assert keyring.state().version == 0
    one, two = (keyring.create(read_wish({"name": name})).key for name in ("one", "two"))
    assert keyring.state().version == 2
    assert {key.id for key in keyring.changed_since(0)} == {one.id, two.id}
    assert keyring.changed_since(2) == []
    revoked = keyring.revoke(one.id)
    assert keyring.changed_since(2) == [revoked]


def test_revoking_again_changes_nothing(keyring: Keyring, clock: FakeClock) -> None:
    key = keyring.create(read_wish({"name": "app"})).key
    first = keyring.revoke(key.id)
    clock.advance(5)
    assert keyring.revoke(key.id).revoked_at_ns == first.revoked_at_ns


def test_a_change_cannot_touch_what_is_routewrights(keyring: Keyring) -> None:
    key = keyring.create(read_wish(FULL)).key

    def forged(before: VirtualKey) -> VirtualKey:
        return replace(before, name="other", id="0" * 10, hmac="0" * 64, created_at_ns=1, previous_hmac="0" * 64)

    assert keyring.change(key.id, forged) == replace(key, name="other")
    assert keyring.get(key.id) == replace(key, name="other")


def test_a_change_that_is_refused_changes_nothing(keyring: Keyring) -> None:
    key = keyring.create(read_wish(FULL)).key

    def refuse(before: VirtualKey) -> VirtualKey:
        raise InvalidRequest("no")

    with pytest.raises(InvalidRequest):
        keyring.change(key.id, refuse)
    assert (keyring.get(key.id), keyring.state().version) == (key, 1)


def test_rotation_keeps_the_id_and_for_a_while_the_old_text(keyring: Keyring, clock: FakeClock) -> None:
    first = keyring.create(read_wish(FULL))
    second = keyring.rotate(first.key.id, grace_s=60)
    assert second.key.id == first.key.id
    assert second.text != first.text
    assert second.key.previous_hmac == first.key.hmac
    assert second.key.previous_until_ns == clock.time_ns() + 60_000_000_000
    third = keyring.rotate(first.key.id)
    assert (third.key.previous_hmac, third.key.previous_until_ns) == (None, None)


def test_a_revoked_key_is_not_rotated(keyring: Keyring) -> None:
    key = keyring.create(read_wish(FULL)).key
    keyring.revoke(key.id)
    with pytest.raises(InvalidRequest, match="is revoked"):
        keyring.rotate(key.id)


@pytest.mark.parametrize("key_id", ["0000000000", "", "' OR 1=1 --", "a" * 1000, "é" * 10, "../../etc"])
def test_x04_an_id_that_is_none_finds_nothing(keyring: Keyring, key_id: str) -> None:
    keyring.create(read_wish(FULL))
    verbs: list[Callable[[str], object]] = [
        keyring.get,
        keyring.revoke,
        keyring.rotate,
        lambda one: keyring.change(one, lambda key: key),
    ]
    for verb in verbs:
        with pytest.raises(KeyNotFound):
            verb(key_id)
    assert len(keyring.list()) == 1
    assert keyring.list()[0].revoked_at_ns is None


@pytest.mark.parametrize("text", ["'; DROP TABLE virtual_keys; --", '"', "\\", "a'b\"c;--", "%s?:1"])
def test_x04_sql_in_a_field_is_only_text(keyring: Keyring, text: str) -> None:
    issued = keyring.create(read_wish({"name": text, "team": text, "tags": [text], "models": [text]}))
    key = keyring.get(issued.key.id)
    assert (key.name, key.team, key.tags, key.models) == (text, text, (text,), (text,))


def test_another_secret_of_the_installation_is_told_by_its_fingerprint(
    keyring: Keyring, database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    key = keyring.create(read_wish(FULL)).key
    foreign = Keyring(database, Installation(Secret("x" * 32), tmp_path), clock)
    with pytest.raises(SettingsError, match=r"that of access\.secret is another one"):
        foreign.signer(foreign.state())
    with pytest.raises(SettingsError, match="fingerprints differ"):
        foreign.create(read_wish(FULL))
    with pytest.raises(SettingsError, match="fingerprints differ"):
        foreign.rotate(key.id)
    missing = Keyring(database, Installation(None, tmp_path / "elsewhere"), clock)
    with pytest.raises(SettingsError, match="there is none"):
        missing.signer(missing.state())
    assert missing.revoke(key.id).revoked_at_ns is not None  # needs no secret, and must always work
    assert len(keyring.list()) == 1


def test_without_keys_no_secret_is_needed_or_made(keyring: Keyring, tmp_path: Path) -> None:
    assert keyring.signer(keyring.state()) is None
    assert not (tmp_path / "access.secret").exists()


def test_changes_of_several_processes_are_each_counted_once(
    keyring: Keyring, place: Path | str, clock: FakeClock, tmp_path: Path
) -> None:
    def make() -> None:
        database = open_database(place)
        own = Keyring(database, Installation(None, tmp_path), clock)
        for _ in range(5):
            own.revoke(own.create(read_wish({"name": "app"})).key.id)
        database.close()

    with ThreadPoolExecutor(4) as threads:
        for made in [threads.submit(make) for _ in range(4)]:
            made.result()
    assert keyring.state().version == 40
    assert len(keyring.changed_since(0)) == 20
    assert all(key.revoked_at_ns for key in keyring.list())


def test_there_are_only_so_many_keys(keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEYS", 2)
    for name in ("one", "two"):
        keyring.create(read_wish({"name": name}))
    with pytest.raises(InvalidRequest, match="2 keys already"):
        keyring.create(read_wish({"name": "three"}))
    assert keyring.state().version == 2
