import logging
import threading

import pytest

from routewright.cache import aside
from routewright.cache.aside import Aside
from routewright.errors import StoreUnavailable


class Slow:
    """An `AnswerStore` whose every call waits until it may go on, or fails."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.fails = False
        self.kept: list[bytes] = []
        self.is_closed = False

    def find(self, key: bytes, now_ns: int) -> bytes | None:
        self._wait()
        return b"found"

    def keep(self, key: bytes, kept: bytes, *, until_ns: int, now_ns: int) -> None:
        self._wait()
        self.kept.append(key)

    def close(self) -> None:
        self.is_closed = True

    def _wait(self) -> None:
        assert self.gate.wait(5)
        if self.fails:
            raise StoreUnavailable("locked")


def keep(answers: Aside, *keys: bytes) -> None:
    for key in keys:
        answers.keep(key, b"x", until_ns=9, now_ns=0)


async def test_a_slow_store_has_nothing_and_nobody_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "PATIENCE_S", 0.001)
    store = Slow()
    answers = Aside(store)
    assert await answers.find(b"a", 0) is None
    store.gate.set()
    await answers.close()


async def test_only_so_much_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aside, "MOST_WAITING", 2)
    store = Slow()
    answers = Aside(store)
    keep(answers, b"a", b"b", b"c")
    assert await answers.find(b"d", 0) is None
    store.gate.set()
    await answers.close()
    assert store.kept == [b"a", b"b"]


async def test_a_failing_store_is_told_of_once_and_has_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = Slow()
    store.gate.set()
    answers = Aside(store)
    for fails in (True, False, True):
        store.fails = fails
        for _ in range(3):
            assert await answers.find(b"a", 0) == (None if fails else b"found")
    await answers.close()
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.message for record in told] == ["the response cache is passed by: locked"] * 2


@pytest.mark.parametrize("times", [1, 2])
async def test_what_was_handed_over_is_kept_before_it_closes(times: int) -> None:
    store = Slow()
    answers = Aside(store)
    keep(answers, b"a")
    store.gate.set()
    for _ in range(times):
        await answers.close()
    keep(answers, b"b")
    assert (store.kept, store.is_closed, await answers.find(b"a", 0)) == ([b"a"], True, None)
