"""U10–U14: a provider that was reached and says no."""

import time
from email.utils import formatdate
from pathlib import Path

import pytest
from faulty_upstream import CHUNKED, STREAM, Exchange, Fault, body_of, chunk, encoded_error
from lab import lab, model
from oracles import CANARY
from speech import ANTHROPIC, DIALECTS, data, error

both_dialects = pytest.mark.parametrize("dialect", DIALECTS)
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


def dated(header: str) -> str:
    """With the HTTP dates that it speaks of."""
    now_s = time.time()
    return header.format(
        in_an_hour=formatdate(now_s + 3600, usegmt=True), an_hour_ago=formatdate(now_s - 3600, usegmt=True)
    )


def overloaded(*headers: str, times: int = 1_000) -> Fault:
    """429 with these headers, so many times."""

    async def fault(exchange: Exchange) -> None:
        if exchange.upstream.reached(exchange.model) <= times:
            await exchange.refuse(429, *map(dated, headers), kind="rate_limit_error")
        else:
            await exchange.answer_well()

    return fault


# ---- 429 -----------------------------------------------------------------------------------------------------------


@both_dialects
async def test_u10_a_pause_is_kept_for_all_requests_while_others_serve(tmp_path: Path, dialect: str) -> None:
    faults = {"busy": overloaded("retry-after: 7")}
    async with lab(tmp_path, model("busy", fallbacks=["ok"]), faults=faults, dialect=dialect) as it:
        for _ in range(5):
            assert (await it.ask("busy")).headers["x-routewright-model"] == "ok"
        assert it.upstream.reached("busy") == 1
        await it.audit()


async def test_u10_whoever_is_alone_waits_for_the_pause_to_end(tmp_path: Path) -> None:
    faults = {"busy": overloaded("retry-after-ms: 300", times=1)}
    async with lab(tmp_path, model("busy"), faults=faults) as it:
        assert (await it.ask("busy")).is_complete
        first, second = (arrival.at for arrival in it.upstream.arrivals)
        assert second - first >= 0.3
        await it.audit(most_attempts=2)


async def test_u10_a_pause_beyond_the_deadline_is_passed_on(tmp_path: Path) -> None:
    async with lab(tmp_path, model("busy"), faults={"busy": overloaded("retry-after: 7")}) as it:
        seen = await it.ask("busy")
        assert (seen.status, seen.headers["retry-after"]) == (429, "7")
        assert it.upstream.reached("busy") == 1
        await it.audit()


@pytest.mark.parametrize(
    ("header", "least_s", "most_s"),
    [
        ("retry-after: 30", 30, 30),
        ("retry-after: {in_an_hour}", 120, 120),
        ("retry-after-ms: 90000", 90, 90),
        ("retry-after-ms: 90000\r\nretry-after: 40", 90, 90),
        ("retry-after: 999999", 120, 120),
        ("retry-after: 33.5", 34, 34),
    ],
)
async def test_u11_a_pause_is_understood_in_every_form_and_capped(
    tmp_path: Path, header: str, least_s: int, most_s: int
) -> None:
    async with lab(tmp_path, model("busy"), faults={"busy": overloaded(header)}) as it:
        seen = await it.ask("busy")
        assert seen.status == 429
        assert least_s <= int(seen.headers["retry-after"]) <= most_s
        assert it.upstream.reached("busy") == 1
        await it.audit()


@pytest.mark.parametrize(
    "header",
    [
        "retry-after: {an_hour_ago}",
        "retry-after: soon",
        "retry-after: -5",
        "retry-after: NaN",
        "retry-after: 1e9",
        "retry-after-ms: -1",
        "retry-after: Fri, 99 Foo 2099 99:99:99 GMT",
        "x-nothing: 1",
    ],
)
async def test_u11_what_is_no_pause_leaves_it_to_us(tmp_path: Path, header: str) -> None:
    async with lab(tmp_path, model("busy"), faults={"busy": overloaded(header, times=1)}) as it:
        seen = await it.ask("busy")
        assert seen.is_complete
        assert seen.seconds < 2
        assert it.upstream.reached("busy") == 2
        await it.audit(most_attempts=2)


# ---- 5xx -----------------------------------------------------------------------------------------------------------


def status(code: int, *headers: str, message: str = "as asked") -> Fault:
    async def fault(exchange: Exchange) -> None:
        await exchange.refuse(code, *headers, message=message)

    return fault


RETRIED = (500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
NOT_RETRIED = (501, 505)


async def test_u12_what_may_pass_is_tried_again_and_then_elsewhere_and_costs_nothing(tmp_path: Path) -> None:
    faults = {f"status-{code}": status(code) for code in (*RETRIED, *NOT_RETRIED)}
    models = [model(name, fallbacks=["ok"]) for name in faults]
    async with lab(tmp_path, *models, faults=faults) as it:
        for name in faults:
            assert (await it.ask(name)).headers["x-routewright-model"] == "ok"
        for code in NOT_RETRIED:
            assert it.upstream.reached(f"status-{code}") == 1
        assert all(1 <= it.upstream.reached(f"status-{code}") <= 2 for code in RETRIED)
        assert it.upstream.reached("status-500") == 2
        rows = await it.audit(most_attempts=len(faults) * 3)
        assert {row.kind for row in rows if row.outcome == "upstream_failed"} == {"released"}


# ---- 4xx -----------------------------------------------------------------------------------------------------------

REPEATED_KEY = f"Incorrect API key provided: {CANARY}. \x1b[31mSee\r\nhttps://platform.example"


@both_dialects
@pytest.mark.parametrize("code", [400, 404, 413, 422])
async def test_u13_a_refused_request_is_tried_once_and_told_without_secrets(
    tmp_path: Path, dialect: str, code: int
) -> None:
    faults = {"refusing": status(code, message=REPEATED_KEY)}
    async with lab(tmp_path, model("refusing"), faults=faults, dialect=dialect) as it:
        seen = await it.ask("refusing")
        assert (seen.status, seen.code) == (400, "upstream_rejected")
        assert b"Incorrect API key" in seen.body
        assert b"\x1b" not in seen.body
        assert it.upstream.reached("refusing") == 1
        await it.audit(most_attempts=1)


@both_dialects
async def test_u13_a_refused_key_is_not_offered_again_anywhere(
    tmp_path: Path, dialect: str, caplog: pytest.LogCaptureFixture
) -> None:
    faults = {"locked": status(401, message=REPEATED_KEY)}
    models = model("locked", fallbacks=["ok"]), model("same-key", fallbacks=["ok"]), model("alone")
    async with lab(tmp_path, *models, faults=faults, dialect=dialect) as it:
        assert (await it.ask("locked")).headers["x-routewright-model"] == "ok"
        for name in ("locked", "same-key"):
            assert (await it.ask(name)).headers["x-routewright-model"] == "ok"
        assert (await it.ask("alone")).code == "credential_resting"
        assert [it.upstream.reached(name) for name in ("locked", "same-key", "alone")] == [1, 0, 0]
        assert "mock/locked is not called with this key" in caplog.text
        assert CANARY not in caplog.text
        await it.audit()


async def test_u13_a_key_that_may_not_use_one_model_is_good_for_others(tmp_path: Path) -> None:
    faults = {"forbidden": status(403)}
    async with lab(tmp_path, model("forbidden", fallbacks=["ok"]), model("allowed"), faults=faults) as it:
        for _ in range(2):
            assert (await it.ask("forbidden")).headers["x-routewright-model"] == "ok"
        assert (await it.ask("allowed")).is_complete
        assert it.upstream.reached("forbidden") == 1
        await it.audit()


# ---- a failure within a 200 ------------------------------------------------------------------------------------------


async def error_in_a_200(exchange: Exchange) -> None:
    exchange.charge(0, sent=0)
    await exchange.send(body_of(encoded_error(exchange.dialect, "overloaded", "overloaded_error")))


async def error_as_the_first_event(exchange: Exchange) -> None:
    exchange.charge(0, sent=0)
    told = data(error(exchange.dialect, "overloaded", "overloaded_error"))
    await exchange.send(STREAM + CHUNKED, chunk(told), chunk(b""))


async def error_after_the_opening(exchange: Exchange) -> None:
    """Nothing was said yet, so nobody is committed."""
    exchange.charge(0, sent=0)
    opening = exchange.speech.frames()[: 3 if exchange.dialect == ANTHROPIC else 1]
    told = data(error(exchange.dialect, "overloaded", "overloaded_error"))
    await exchange.send(STREAM + CHUNKED, *map(chunk, [*opening, told, b""]))


@both_dialects
@pytest.mark.parametrize(
    ("fault", "stream"),
    [
        (error_in_a_200, False),
        (error_in_a_200, True),
        (error_as_the_first_event, True),
        (error_after_the_opening, True),
    ],
)
async def test_u14_a_failure_within_a_200_goes_elsewhere_and_is_free(
    tmp_path: Path, dialect: str, fault: Fault, stream: bool
) -> None:
    async with lab(tmp_path, model("failing", fallbacks=["ok"]), faults={"failing": fault}, dialect=dialect) as it:
        seen = await it.ask("failing", stream=stream)
        assert it.upstream.reached("failing") == 2
        assert seen.is_complete
        assert seen.headers["x-routewright-model"] == "ok"
        rows = [row for row in await it.audit() if row.model == "failing" and row.kind != "reserved"]
        assert [(row.kind, row.outcome) for row in rows] == [("released", "upstream_failed")] * 2
