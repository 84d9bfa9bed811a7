"""U15, U17, U18, U20 and U24: answers that come whole and are not what they should be."""

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from faulty_upstream import CHUNKED, STREAM, Exchange, Fault, body_of, chunk
from lab import lab, model
from oracles import INPUT_NANOUSD, OUTPUT_NANOUSD, Row
from speech import ANTHROPIC, DIALECTS, OPENAI, WORDS, data

both_dialects = pytest.mark.parametrize("dialect", DIALECTS)
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])

INVALID = "upstream_invalid_response"
SPOKEN = len(WORDS) + 1


def settled(rows: list[Row], name: str) -> list[Row]:
    """How the attempts at a model were closed."""
    return [row for row in rows if row.model == name and row.kind != "reserved"]


# ---- bodies that are no answer -------------------------------------------------------------------------------------


def body(make: Any, *headers: str, kind: str = "application/json") -> Fault:
    """What `make` makes of the good body, with the right length."""

    async def fault(exchange: Exchange) -> None:
        exchange.charge()
        good = b"".join(exchange.speech.frames()) if exchange.is_stream else exchange.speech.whole()
        await exchange.send(body_of(make(good), *headers, kind=kind))

    return fault


@both_dialects
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
async def test_u15_truncated_json_is_no_answer(tmp_path: Path, dialect: str, share: float) -> None:
    faults = {"cut": body(lambda good: good[: int(len(good) * share)])}
    models = model("cut", fallbacks=["ok"]), model("alone")
    async with lab(tmp_path, *models, faults=faults | {"alone": faults["cut"]}, dialect=dialect) as it:
        assert (await it.ask("cut", stream=False)).headers["x-routewright-model"] == "ok"
        alone = await it.ask("alone", stream=False)
        assert (alone.status, alone.code) == (502, INVALID)
        assert it.upstream.reached("cut") == it.upstream.reached("alone") == 1
        rows = await it.audit()
        assert [(row.outcome, row.is_estimated) for row in settled(rows, "cut")] == [(INVALID, 1)]


PAGE = b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>our-proxy.internal</h1></body></html>"


@both_ways
@both_dialects
@pytest.mark.parametrize("kind", ["text/html", "application/json", "text/event-stream"])
async def test_u18_a_page_with_200_is_a_failure_and_never_passed_on(
    tmp_path: Path, dialect: str, kind: str, stream: bool
) -> None:
    page = body(lambda _: PAGE, kind=kind)
    models = model("page", fallbacks=["ok"]), model("alone")
    async with lab(tmp_path, *models, faults={"page": page, "alone": page}, dialect=dialect) as it:
        assert (await it.ask("page", stream=stream)).headers["x-routewright-model"] == "ok"
        alone = await it.ask("alone", stream=stream)
        assert (alone.status, alone.code) == (502, INVALID)
        assert b"our-proxy" not in alone.body
        assert it.upstream.reached("page") == 1
        await it.audit()


@both_ways
@both_dialects
@pytest.mark.parametrize("header", ["content-encoding: gzip", "x-nothing: it does not say so"], ids=["told", "untold"])
@pytest.mark.parametrize("is_bomb", [False, True], ids=["small", "bomb"])
async def test_u20_a_compressed_answer_is_refused_and_not_unpacked(
    tmp_path: Path, dialect: str, stream: bool, is_bomb: bool, header: str
) -> None:
    packed = body(lambda good: BOMB if is_bomb else gzip.compress(good), header)
    async with lab(tmp_path, model("packed", fallbacks=["ok"]), faults={"packed": packed}, dialect=dialect) as it:
        seen = await it.ask("packed", stream=stream)
        assert seen.headers["x-routewright-model"] == "ok"
        assert it.upstream.reached("packed") == 1
        assert it.upstream.requests[0].headers["accept-encoding"] == "identity"
        assert [row.outcome for row in settled(await it.audit(), "packed")] == [INVALID]


def _bomb() -> bytes:
    """200 MB of spaces in 200 kB."""
    block = gzip.compress(b" " * (20 << 20))
    return block * 10  # members one after the other are one gzip file


BOMB = _bomb()


# ---- usage ---------------------------------------------------------------------------------------------------------


def reporting(*usages: Any) -> Fault:
    """The words are the usual ones, and the last of `usages` is what is billed, if it can be."""

    async def fault(exchange: Exchange) -> None:
        last = usages[-1] if usages else None
        sent, generated = (last.get(name) for name in NAMES[exchange.dialect]) if type(last) is dict else (None, None)
        is_sound = all(type(count) is int and 0 <= count < 10**9 for count in (sent, generated))
        exchange.charge(generated if is_sound else None, sent=sent if is_sound else None)
        if exchange.is_stream:
            frames = exchange.speech.frames(*(usages or (None,)))
            await exchange.answer(*frames)
        else:
            await exchange.answer(exchange.speech.whole(usage=usages[-1] if usages else None))

    return fault


NAMES = {OPENAI: ("prompt_tokens", "completion_tokens"), ANTHROPIC: ("input_tokens", "output_tokens")}


def counts(dialect: str, sent: Any, generated: Any) -> dict[str, Any]:
    return dict(zip(NAMES[dialect], (sent, generated), strict=True))


@both_ways
@both_dialects
@pytest.mark.parametrize(
    ("sent", "generated"), [(-1, 5), (7, -5), (10**12, 5), (7, 10**12), ("many", 5), (1.5, 5), (7, None), (True, 5)]
)
async def test_u17_counts_that_cannot_be_are_estimated_and_flagged(
    tmp_path: Path, dialect: str, stream: bool, sent: Any, generated: Any
) -> None:
    faults = {"odd": reporting(counts(dialect, sent, generated))}
    async with lab(tmp_path, model("odd"), faults=faults, dialect=dialect) as it:
        seen = await it.ask("odd", stream=stream)
        assert seen.is_complete
        (row,) = settled(await it.audit(most_attempts=1), "odd")
        assert row.is_estimated == 1
        assert 0 < (row.cost_nanousd or 0) < 1_000_000


@both_ways
@both_dialects
async def test_u17_without_usage_the_words_are_counted(tmp_path: Path, dialect: str, stream: bool) -> None:
    async with lab(tmp_path, model("mute"), faults={"mute": reporting()}, dialect=dialect) as it:
        assert (await it.ask("mute", stream=stream)).is_complete
        (row,) = settled(await it.audit(most_attempts=1), "mute")
        assert row.is_estimated == 1


@both_ways
@both_dialects
async def test_u17_zero_is_zero(tmp_path: Path, dialect: str, stream: bool) -> None:
    async with lab(tmp_path, model("free"), faults={"free": reporting(counts(dialect, 0, 0))}, dialect=dialect) as it:
        assert (await it.ask("free", stream=stream)).is_complete
        (row,) = settled(await it.audit(most_attempts=1), "free")
        assert (row.cost_nanousd, row.is_estimated) == (0, 0)


@both_dialects
async def test_u17_counts_that_grow_are_counted_once(tmp_path: Path, dialect: str) -> None:
    growing = [counts(dialect, 7, generated) for generated in (2, 5, 9, SPOKEN)]
    async with lab(tmp_path, model("growing"), faults={"growing": reporting(*growing)}, dialect=dialect) as it:
        assert (await it.ask("growing")).is_complete
        (row,) = settled(await it.audit(most_attempts=1), "growing")
        assert (row.cost_nanousd, row.is_estimated) == (7 * INPUT_NANOUSD + SPOKEN * OUTPUT_NANOUSD, 0)


async def test_u17_counts_in_every_chunk_are_counted_once(tmp_path: Path) -> None:
    async def cumulative(exchange: Exchange) -> None:
        exchange.charge()
        bodies = [json.loads(frame[6:]) for frame in exchange.speech.frames()[:-1]]
        told = [data({**each, "usage": exchange.speech.usage(min(n, SPOKEN))}) for n, each in enumerate(bodies)]
        await exchange.answer(*told, b"data: [DONE]\n\n")

    async with lab(tmp_path, model("cumulative"), faults={"cumulative": cumulative}) as it:
        assert (await it.ask("cumulative")).is_complete
        (row,) = settled(await it.audit(most_attempts=1), "cumulative")
        assert (row.output, row.is_estimated) == (SPOKEN, 0)


@pytest.mark.parametrize("closing", [b"", b"data: [DONE]\n\n"])
async def test_u17_counts_that_come_late_are_waited_for(tmp_path: Path, closing: bytes) -> None:
    """After the finish, in a packet of their own; and some servers send no end mark."""

    async def late(exchange: Exchange) -> None:
        exchange.charge()
        *words, usage, _ = exchange.speech.frames()
        await exchange.send(STREAM + CHUNKED, *map(chunk, words))
        await exchange.send(*map(chunk, [usage, *([closing] if closing else []), b""]))

    async with lab(tmp_path, model("late"), faults={"late": late}) as it:
        assert (await it.ask("late")).is_complete
        (row,) = settled(await it.audit(most_attempts=1), "late")
        assert row.is_estimated == 0


# ---- another model, and fields of the provider's own -----------------------------------------------------------------

USD_PER_TOKEN = {"asked": (1e-6, 2e-6), "cheaper": (1e-7, 2e-7)}


def price_map() -> str:
    names = ("input_cost_per_token", "output_cost_per_token")
    return json.dumps(
        {
            name: {"litellm_provider": "openai", "max_input_tokens": 100_000, **dict(zip(names, prices, strict=True))}
            for name, prices in USD_PER_TOKEN.items()
        }
    )


def learn_prices(home: Path) -> None:
    """Have routewright take the price map for its own."""
    (home / "price-map.json").write_text(price_map())
    sync = [sys.executable, "-m", "routewright", "prices", "sync", "--from", "price-map.json", "--accept", "--all"]
    environ = {"HOME": str(home), "PYTHONPATH": ":".join(path for path in sys.path if path)}
    subprocess.run(sync, cwd=home, env=environ, check=True, capture_output=True)


@both_ways
@pytest.mark.parametrize(("served", "divisor"), [("cheaper", 10), ("asked-2026-01-01", 1), ("nobody-knows-it", 1)])
async def test_u24_the_model_that_answered_is_kept_and_priced(
    tmp_path: Path, stream: bool, served: str, divisor: int
) -> None:
    async def another(exchange: Exchange) -> None:
        exchange.charge()
        frames = exchange.speech.frames(model=served, surprise={"deep": [1]}, system_fingerprint="fp")
        whole = exchange.speech.whole(model=served, surprise={"deep": [1]})
        await exchange.answer(*(frames if exchange.is_stream else [whole]))

    learn_prices(tmp_path)
    provider = '[providers.openai]\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key = "env:LAB_KEY"'
    asked = model("asked", "openai/asked", price=False)
    async with lab(tmp_path, asked, faults={"asked": another}, settings=provider) as it:
        seen = await it.ask("asked", stream=stream)
        assert seen.is_complete
        assert b"surprise" in seen.body
        books = await it.books()
        (row,) = settled(books.rows, "asked")
        assert (row.served_model, row.model, row.is_estimated) == (served, "asked", 0)
        assert row.cost_nanousd == books.bill[0].cost_nanousd // divisor


async def test_u24_pieces_of_tool_calls_out_of_order_reach_the_client_as_they_came(tmp_path: Path) -> None:
    pieces = [
        {"index": 1, "id": "call_b", "type": "function", "function": {"name": "b", "arguments": ""}},
        {"index": 1, "function": {"arguments": '{"x":'}},
        {"index": 0, "id": "call_a", "type": "function", "function": {"name": "a", "arguments": "{"}},
        {"index": 1, "function": {"arguments": "1}"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]

    async def calling(exchange: Exchange) -> None:
        exchange.charge()
        frames = exchange.speech.frames()
        deltas = [{"index": 0, "delta": {"tool_calls": [piece]}, "finish_reason": None} for piece in pieces]
        calls = [data({"id": "c", "created": 0, "model": exchange.model, "choices": [delta]}) for delta in deltas]
        await exchange.answer(*frames[:-3], *calls, *frames[-3:])

    async with lab(tmp_path, model("calling"), faults={"calling": calling}) as it:
        seen = await it.ask("calling")
        deltas = [choice["delta"] for event in seen.events for choice in event["choices"]]
        assert [call for delta in deltas for call in delta.get("tool_calls", ())] == pieces
        await it.audit(most_attempts=1)
