"""Kept responses: bounded by number, bytes and time, and nobody's but their owner's."""

import pytest

from routewright.gateway import responses_kept
from routewright.gateway.responses_kept import KEPT_FOR_S, Kept, KeptResponses


def kept(name: str, *, size: int = 10, at: float = 0.0) -> Kept:
    return Kept(name, b"x" * (size - 1), b"y", (f"item-{name}",), at)


def names(store: KeptResponses, *asked: str, now: float = 0.0) -> list[str]:
    return [name for name in asked if store.find("me", name, now) is not None]


def test_a_response_is_found_by_its_owner_by_its_id_and_by_what_it_said() -> None:
    store = KeptResponses()
    store.keep("me", kept("a"))
    assert store.find("me", "a", 0) == store.holder("me", "item-a", 0) == kept("a")
    assert store.find("you", "a", 0) is store.holder("you", "item-a", 0) is None


def test_after_a_day_it_is_gone() -> None:
    store = KeptResponses()
    store.keep("me", kept("a"))
    assert names(store, "a", now=KEPT_FOR_S - 1) == ["a"]
    assert names(store, "a", now=KEPT_FOR_S) == []
    assert store.holder("me", "item-a", KEPT_FOR_S) is None


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses_kept, "MOST_RESPONSES", 2)
    store = KeptResponses()
    for name in "abc":
        store.keep("me", kept(name))
    assert names(store, *"abc") == ["b", "c"]
    assert store.holder("me", "item-a", 0) is None


def test_the_oldest_go_when_all_together_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses_kept, "MOST_BYTES", 25)
    store = KeptResponses()
    store.keep("me", kept("a"))
    store.keep("me", kept("b"))
    store.keep("me", kept("b"))  # again: it counts once
    assert names(store, *"ab") == ["a", "b"]
    store.keep("me", kept("c"))
    assert names(store, *"abc") == ["b", "c"]


def test_one_that_is_too_long_is_not_kept_and_drives_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses_kept, "MOST_RESPONSE_BYTES", 10)
    store = KeptResponses()
    store.keep("me", kept("a"))
    store.keep("me", kept("b", size=11))
    assert names(store, *"ab") == ["a"]


def test_what_is_forgotten_is_gone_with_what_it_said() -> None:
    store = KeptResponses()
    store.keep("me", kept("a"))
    assert not store.forget("you", "a")
    assert store.forget("me", "a")
    assert not store.forget("me", "a")
    assert store.holder("me", "item-a", 0) is None
