from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import call
from routewright.cache import key as key_module
from routewright.cache.key import WITHOUT_EFFECT, key_of
from routewright.call import Call, Options
from routewright.catalog.registry import Tier
from routewright.tenant import Tenant

BODY = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}


def asked(tenant: str = "", dialect: str = "openai_chat", body: dict[str, Any] = BODY, **changes: Any) -> Call:
    return call(tenant=Tenant(key=tenant), dialect=dialect, body=body, **changes)


def key(*about: Any, is_shared: bool = False, **changes: Any) -> bytes:
    return key_of(asked(*about, **changes), is_shared=is_shared)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
requests = st.tuples(texts, st.sampled_from(["openai_chat", "anthropic_messages"]), st.dictionaries(texts, texts))


@given(requests, requests)
def test_x10_two_requests_have_one_key_only_if_they_are_the_same(one: Any, other: Any) -> None:
    meant = [
        (tenant, dialect, {n: v for n, v in body.items() if n not in WITHOUT_EFFECT})
        for tenant, dialect, body in (one, other)
    ]
    assert (key(*one) == key(*other)) == (meant[0] == meant[1])


def test_x10_a_key_is_all_of_a_sha_256() -> None:
    assert len(key()) == 32
    assert len({key(f"{'t' * 20}{n}")[:8] for n in range(256)}) == 256


def test_x10_what_moves_from_one_part_to_the_next_is_another_request() -> None:
    assert key("ab", "c") != key("a", "bc")
    assert key("", "tenant") != key("tenant", "")


@pytest.mark.parametrize("field", sorted(WITHOUT_EFFECT))
def test_who_asks_and_how_it_is_delivered_makes_no_other_request(field: str) -> None:
    assert key(body={**BODY, field: "something"}) == key()


@pytest.mark.parametrize("field", ["temperature", "seed", "tools", "logprobs", "a field that nobody knows"])
def test_all_else_does(field: str) -> None:
    assert key(body={**BODY, field: 1}) != key()


def test_of_the_call_itself_all_counts_that_is_not_known_to_change_nothing() -> None:
    """A field that is added to calls or options makes another request until somebody says that it does not."""
    assert key_module._OF_CALL == ["dialect", "headers", "model", "stream"]
    assert key_module._OF_OPTIONS == [
            "agreement", "checks", "drop", "max_cost_nanousd", "min_quality", "policy", "tier",
        ]  # fmt: skip
    assert key(model="plain") != key()
    assert key(headers={"anthropic-beta": "context-1m-2025-08-07"}) != key()


def test_ids_sessions_tags_and_patience_make_no_other_request() -> None:
    options = Options(deadline_s=1, tags=("a",), user="u")
    assert key(id="request-2", session="s", deadline_at=9.0, options=options) == key()


@pytest.mark.parametrize(
    "options",
    [Options(tier=Tier.COMPLEX), Options(min_quality=0.9), Options(max_cost_nanousd=1_000), Options(drop=("tools",))],
)
def test_what_is_asked_of_the_router_does(options: Options) -> None:
    assert key(options=options) != key()


def test_the_order_of_fields_does_not_matter_that_of_messages_does() -> None:
    assert key(body=dict(reversed(BODY.items()))) == key()
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert key(body={**BODY, "messages": turns}) != key(body={**BODY, "messages": turns[::-1]})


def test_a_stream_is_another_request() -> None:
    assert key(stream=True) != key()


def test_tenants_are_alike_only_where_answers_are_shared() -> None:
    assert key("one") != key("two")
    assert key("one", is_shared=True) == key("two", is_shared=True) != key("")
