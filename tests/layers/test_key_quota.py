import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import Below, call, message
from routewright.call import Call
from routewright.errors import ProviderFailed, RateLimited
from routewright.layers import key_quota
from routewright.layers.key_quota import Bucket, KeyQuota, expected_tokens
from routewright.reply import Reply
from routewright.tenant import Tenant
from routewright.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def limited(**limits: Any) -> Call:
    return call(tenant=Tenant(key="k", **limits))


async def refusal(quota: KeyQuota, asked: Call) -> float:
    """How long it says to wait."""
    below = Below()
    with pytest.raises(RateLimited) as refused:
        await quota(asked, below)
    assert below.requests == []
    return refused.value.retry_after_s


async def finished(quota: KeyQuota, asked: Call, below: Below | None = None) -> Reply:
    reply = await quota(asked, below or Below())
    await reply.next()
    await reply.next()
    await reply.next()
    assert reply.ending is not None
    return reply


async def test_whoever_has_no_limits_is_let_through_and_not_remembered(clock: FakeClock) -> None:
    quota = KeyQuota(clock)
    for _ in range(100):
        await quota(call(), Below())
    assert quota.standing(call().tenant) is None
    assert quota._states == {}


async def test_m06_requests_of_a_minute_are_counted_and_come_back_evenly(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(requests_per_minute=6)
    for _ in range(6):
        await finished(quota, asked)
    assert await refusal(quota, asked) == pytest.approx(10)
    clock.advance(9.99)
    assert await refusal(quota, asked) == pytest.approx(0.01)
    clock.advance(0.01)
    await finished(quota, asked)
    clock.advance(3600)
    for _ in range(6):
        await finished(quota, asked)
    await refusal(quota, asked)


async def test_m06_only_so_many_requests_run_at_once(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(concurrency=2)
    first, second = [await quota(asked, Below()) for _ in range(2)]
    assert await refusal(quota, asked) == 1
    first.close()
    third = await quota(asked, Below())
    await refusal(quota, asked)
    second.close()
    third.close()


async def test_a_key_does_not_use_up_what_another_has(clock: FakeClock) -> None:
    quota = KeyQuota(clock)
    one, other = (call(tenant=Tenant(key=key, requests_per_minute=1)) for key in ("one", "other"))
    await finished(quota, one)
    await refusal(quota, one)
    await finished(quota, other)


async def test_tokens_are_taken_by_estimate_and_put_right_by_what_was_counted(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(tokens_per_minute=1000)
    expected = expected_tokens(asked)
    assert 500 < expected < 520
    reply = await quota(asked, Below())
    standing = quota.standing(asked.tenant)
    assert standing is not None
    assert standing.tokens is not None
    assert standing.tokens.remaining == 1000 - expected
    assert await refusal(quota, asked) == pytest.approx((2 * expected - 1000) * 60 / 1000)
    await reply.next()
    await reply.next()
    await reply.next()  # it was 30 tokens
    standing = quota.standing(asked.tenant)
    assert standing is not None
    assert standing.tokens is not None
    assert standing.tokens.remaining == 970
    assert standing.tokens.resets_in_s == pytest.approx(1.8)


async def test_whoever_uses_more_than_expected_pays_for_it_later(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(tokens_per_minute=10)
    await finished(quota, asked)  # more than a minute's worth is let in by a full bucket; 30 were used
    assert await refusal(quota, asked) == pytest.approx(180)
    clock.advance(180)
    await finished(quota, asked)


async def test_what_fails_costs_its_request_and_no_tokens(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(tokens_per_minute=1000, requests_per_minute=2, concurrency=1)
    for _ in range(2):
        with pytest.raises(ProviderFailed):
            await quota(asked, Below(ProviderFailed("500")))
    standing = quota.standing(asked.tenant)
    assert standing is not None
    assert standing.tokens is not None
    assert standing.requests is not None
    assert (standing.tokens.remaining, standing.requests.remaining) == (1000, 0)


async def test_a_cancelled_request_gives_its_place_back(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(concurrency=1)

    async def never(_: Call) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    waiting = asyncio.ensure_future(quota(asked, never))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await finished(quota, asked)


async def test_a_limit_that_is_changed_holds_at_once(clock: FakeClock) -> None:
    quota = KeyQuota(clock)
    await finished(quota, limited(requests_per_minute=1))
    await refusal(quota, limited(requests_per_minute=1))
    await finished(quota, limited(requests_per_minute=2))
    await refusal(quota, limited(requests_per_minute=2))
    await finished(quota, limited(concurrency=1))
    await finished(quota, limited(concurrency=1, tokens_per_minute=1000))


async def test_idle_keys_are_forgotten_and_busy_ones_are_not(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_quota, "SWEEP_ABOVE", 3)
    quota = KeyQuota(clock)
    running = await quota(call(tenant=Tenant(key="running", concurrency=1)), Below())
    await finished(quota, call(tenant=Tenant(key="in debt", tokens_per_minute=1)))
    await finished(quota, call(tenant=Tenant(key="idle", requests_per_minute=1)))
    clock.advance(61)
    await finished(quota, call(tenant=Tenant(key="new", requests_per_minute=1)))
    assert set(quota._states) == {"running", "in debt", "new"}
    running.close()


def remaining(quota: KeyQuota, asked: Call) -> int:
    standing = quota.standing(asked.tenant)
    assert standing is not None
    assert standing.requests is not None
    return standing.requests.remaining


async def test_what_was_used_since_the_last_round_is_told_once(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(requests_per_minute=60, tokens_per_minute=10_000)
    assert quota.takes() == []
    for _ in range(3):
        await finished(quota, asked)
    takes = quota.takes()
    assert [(each.key, each.kind, each.limit, each.amount) for each in takes] == [
        ("k", "requests", 60, 3),
        ("k", "tokens", 10_000, 90),
    ]
    assert quota.takes() == []
    quota.untold(takes)
    assert quota.takes() == takes
    quota.heard(takes, [takes[0].amount, takes[1].amount])
    await finished(quota, asked)
    assert [each.amount for each in quota.takes()] == [1, 30]


async def test_what_others_used_is_missing_here_and_comes_back_evenly(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(requests_per_minute=60)
    await finished(quota, asked)
    takes = quota.takes()
    await finished(quota, asked)  # while the round is under way
    quota.heard(takes, [58])
    assert remaining(quota, asked) == 1
    await finished(quota, asked)
    assert await refusal(quota, asked) == pytest.approx(1)
    clock.advance(2)
    assert remaining(quota, asked) == 2
    assert [each.amount for each in quota.takes()] == pytest.approx([2])


async def test_s09_alone_each_gateway_has_its_share_and_afterwards_all_of_it(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(requests_per_minute=60)
    await finished(quota, asked)
    takes = quota.takes()
    quota.heard(takes, [30])  # 30 are left, for three gateways
    quota.divide(3)
    for _ in range(10):
        await finished(quota, asked)
    assert await refusal(quota, asked) == pytest.approx(3), "a third of one a second"
    fresh = call(tenant=Tenant(key="fresh", requests_per_minute=60))
    for _ in range(20):
        await finished(quota, fresh)
    await refusal(quota, fresh)
    quota.divide(1)
    assert remaining(quota, asked) == 20, "the other two have not said yet what they took"


async def test_a_key_with_more_gateways_than_requests_is_served_by_each(clock: FakeClock) -> None:
    quota, asked = KeyQuota(clock), limited(requests_per_minute=2)
    quota.divide(4)
    await finished(quota, asked)
    assert await refusal(quota, asked) == pytest.approx(120), "two a minute, for all four"


async def test_only_so_many_keys_are_told_of_in_a_round(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_quota, "MOST_TAKES", 2)
    quota = KeyQuota(clock)
    for key in ("a", "b", "c"):
        await finished(quota, call(tenant=Tenant(key=key, requests_per_minute=1)))
    assert [take.key for take in quota.takes()] == ["a", "b"]
    assert [take.key for take in quota.takes()] == ["c"]


def test_more_words_and_more_answers_are_expected_to_need_more() -> None:
    short = expected_tokens(call("Hi", max_output_tokens=10))
    assert expected_tokens(call("Hi " * 1000, max_output_tokens=10)) > 500 + short
    assert expected_tokens(call("Hi", max_output_tokens=10, choices=3)) == short + 20
    assert expected_tokens(call(messages=(message("Hi"), message("Hi")), max_output_tokens=10)) > short


@given(
    st.integers(1, 1000),
    st.lists(st.tuples(st.floats(0, 100), st.integers(1, 50)), max_size=50),
)
def test_no_more_is_ever_given_than_a_minutes_worth_and_what_refilled(
    limit: int, steps: list[tuple[float, int]]
) -> None:
    bucket, now, taken = Bucket(0), 0.0, 0
    for pause_s, wanted in steps:
        now += pause_s
        amount = min(wanted, limit)
        if not bucket.wait_s(amount, limit, now):
            bucket.take(amount)
            taken += amount
        assert taken <= limit + now * limit / 60 + 0.01
