"""U05–U09, U16 and U19: what can go wrong once an answer has begun.

`benchmarks/prove.py --only f9` cuts ten thousand streams instead of some hundreds.
"""

import asyncio
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from random import Random

import pytest
from cuts import BROKEN, FRAMINGS, ask_for_cuts, close, cut_short
from faulty_upstream import CHUNKED, STREAM, Exchange, Fault, chunk
from lab import DEADLINE_S, PATIENCE_S, lab, model
from proxy import Toxics
from speech import ANTHROPIC, DIALECTS, data

both_dialects = pytest.mark.parametrize("dialect", DIALECTS)
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])

CUTS = 54


# ---- silence and slowness ------------------------------------------------------------------------------------------


async def silent_after_the_head(exchange: Exchange) -> None:
    exchange.charge(0)
    await exchange.send(STREAM + CHUNKED)
    await exchange.silence()


async def silent_after_the_opening(exchange: Exchange) -> None:
    """What is said before the first word commits nobody."""
    exchange.charge(0)
    opening = exchange.speech.frames()[: 3 if exchange.dialect == ANTHROPIC else 1]
    await exchange.send(STREAM + CHUNKED, *map(chunk, opening))
    await exchange.silence()


@both_dialects
@pytest.mark.parametrize("fault", [silent_after_the_head, silent_after_the_opening])
async def test_u05_a_stream_that_never_says_anything_is_replaced(tmp_path: Path, dialect: str, fault: Fault) -> None:
    async with lab(
        tmp_path, model("mute", fallbacks=["ok"]), faults={"mute": fault}, dialect=dialect, patience_s=PATIENCE_S
    ) as it:
        seen = await it.ask("mute")
        assert it.upstream.reached("mute") == 1
        assert seen.is_complete
        assert seen.headers["x-routewright-model"] == "ok"
        assert seen.seconds < PATIENCE_S + 1
        await it.audit()


@both_dialects
async def test_u06_a_stream_that_hangs_ends_in_an_error_and_is_paid_as_far_as_it_came(
    tmp_path: Path, dialect: str
) -> None:
    async def hanging(exchange: Exchange) -> None:
        exchange.charge(5)
        await exchange.send(STREAM + CHUNKED, *map(chunk, exchange.speech.frames()[:8]))
        await exchange.silence()

    async with lab(
        tmp_path,
        model("hanging", fallbacks=["ok"]),
        faults={"hanging": hanging},
        dialect=dialect,
        patience_s=PATIENCE_S,
    ) as it:
        seen = await it.ask("hanging")
        assert (seen.status, seen.code, seen.is_done) == (200, "upstream_idle_timeout", False)
        assert seen.text_due.startswith(seen.text)
        assert seen.text
        assert seen.seconds < PATIENCE_S + 1
        rows = await it.audit(most_attempts=1)
        assert (rows[-1].kind, rows[-1].outcome, rows[-1].is_estimated) == ("settled", "upstream_idle_timeout", 1)


async def dripping(exchange: Exchange) -> None:
    """A byte every 20 ms: the connection is never silent for long."""
    exchange.charge(4)
    body = b"".join(exchange.speech.frames()) if exchange.is_stream else exchange.speech.whole()
    begun = body[:600] if exchange.is_stream else b""
    head = STREAM + CHUNKED + chunk(begun) if begun else STREAM + CHUNKED
    await exchange.send(head)
    for byte in body[len(begun) :]:
        await asyncio.sleep(0.02)
        await exchange.send(chunk(bytes([byte])))


async def test_u07_a_stream_of_single_bytes_makes_no_progress(tmp_path: Path) -> None:
    async with lab(tmp_path, model("dripping"), faults={"dripping": dripping}, patience_s=PATIENCE_S) as it:
        seen = await it.ask("dripping")
        assert (seen.code, seen.is_done) == ("upstream_idle_timeout", False)
        assert seen.seconds < PATIENCE_S + 1
        await it.audit(most_attempts=1)


async def test_u07_a_whole_answer_of_single_bytes_is_replaced_in_time(tmp_path: Path) -> None:
    async with lab(
        tmp_path, model("dripping", fallbacks=["ok"]), faults={"dripping": dripping}, patience_s=PATIENCE_S
    ) as it:
        seen = await it.ask("dripping", stream=False)
        assert it.upstream.reached("dripping") == 1
        assert seen.headers["x-routewright-model"] == "ok"
        await it.audit()


async def test_u07_a_thin_line_is_slow_and_not_broken(tmp_path: Path) -> None:
    thin = Toxics(bandwidth=40_000, latency_s=0.001, slow_close_s=0.05)
    async with lab(tmp_path, model("thin", "through/thin"), toxics=thin, patience_s=PATIENCE_S) as it:
        assert (await it.ask("thin")).is_complete
        assert it.proxy.connections == 1
        await it.audit(most_attempts=1)


# ---- cut streams ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", FRAMINGS)
@both_dialects
async def test_u08_f9_a_stream_cut_anywhere_is_never_presented_as_complete(
    tmp_path: Path, dialect: str, framing: str
) -> None:
    random = Random(f"{dialect} {framing}")
    places = [random.randrange(1_000_000) for _ in range(CUTS)]
    seen, arrivals = await ask_for_cuts(tmp_path, dialect, framing, places, stream=True)
    assert arrivals > 0.98 * CUTS, "the cuts were reached"
    broken = [answer for answer in seen if not answer.is_complete]
    assert all(not answer.is_done and answer.error is not None for answer in broken)
    # Where nothing else tells the end, an answer with its finish, or all but the last line feed, is whole: some
    # servers leave `[DONE]` out. That the others said all there was to say is an oracle.
    assert len(broken) > 0.6 * CUTS if framing == "to the end" else len(broken) == CUTS


@both_dialects
@pytest.mark.parametrize("framing", ["length", "to the end"])
async def test_u08_f9_a_whole_answer_cut_anywhere_is_none(tmp_path: Path, dialect: str, framing: str) -> None:
    places = [Random(framing).randrange(1_000_000) for _ in range(40)]
    seen, _ = await ask_for_cuts(tmp_path, dialect, framing, places, stream=False)
    assert {answer.status for answer in seen} == {502}


@both_dialects
async def test_u08_a_cut_before_the_first_word_goes_elsewhere(tmp_path: Path, dialect: str) -> None:
    fault = cut_short("chunked", close)
    async with lab(tmp_path, model("early", fallbacks=["ok"]), faults={"early": fault}, dialect=dialect) as it:
        seen = await it.ask("early", "60000")
        assert it.upstream.reached("early") == 2, "once more in the same place, then another model"
        assert seen.headers["x-routewright-model"] == "ok"
        assert seen.is_complete
        await it.audit()


@both_dialects
async def test_u09_a_reset_in_the_middle_is_a_cut(tmp_path: Path, dialect: str) -> None:
    async with lab(tmp_path, model("reset", "through/reset"), toxics=Toxics(reset_peer=1400), dialect=dialect) as it:
        seen = await it.ask("reset")
        assert it.upstream.reached("reset") == 1
        assert (seen.status, seen.code, seen.is_done) == (200, BROKEN, False)
        rows = await it.audit(most_attempts=1)
        assert (rows[-1].outcome, rows[-1].is_estimated) == (BROKEN, 1)


async def test_u09_a_line_that_ends_after_so_many_bytes_is_a_cut(tmp_path: Path) -> None:
    async with lab(tmp_path, model("limited", "through/limited"), toxics=Toxics(limit_data=1400)) as it:
        seen = await it.ask("limited")
        assert (seen.status, seen.code, seen.is_done) == (200, BROKEN, False)
        await it.audit(most_attempts=1)


# ---- every legal form of a stream, and some that are not -------------------------------------------------------------


def lines_ended_by(end: bytes) -> Callable[[list[bytes]], bytes]:
    return lambda frames: b"".join(frames).replace(b"\n", end)


def mixed_line_ends(frames: list[bytes]) -> bytes:
    ends = cycle([b"\n", b"\r\n", b"\r", b"\r\n"])
    return b"".join(part + next(ends) for part in b"".join(frames).split(b"\n"))


def data_in_several_lines(frames: list[bytes]) -> bytes:
    """JSON may be broken where a space may stand."""
    return b"".join(frame.replace(b'", "', b'",\ndata: "') for frame in frames)


LEGAL: dict[str, Callable[[list[bytes]], bytes]] = {
    "LF": b"".join,
    "CRLF": lines_ended_by(b"\r\n"),
    "CR": lines_ended_by(b"\r"),
    "mixed": mixed_line_ends,
    "BOM": lambda frames: b"\xef\xbb\xbf" + b"".join(frames),
    "no-space": lambda frames: b"".join(frames).replace(b"data: ", b"data:"),
    "comments": lambda frames: b": hello\n\n" + b": a comment\n".join(frames) + b":\n\n",
    "fields": lambda frames: b"retry: 10\nid: 7\nunknown: x\nno colon\n".join([b"", *frames]),
    "blank-lines": lambda frames: b"\n\n\n".join(frames),
    "several-lines": data_in_several_lines,
    "no-last-blank-line": lambda frames: b"".join(frames).removesuffix(b"\n"),
}


def sliced(written: Callable[[list[bytes]], bytes], size: int | None) -> Fault:
    """The stream in this form, in chunks of so many bytes."""

    async def fault(exchange: Exchange) -> None:
        exchange.charge()
        body = written(exchange.speech.frames())
        pieces = [body[start : start + (size or len(body))] for start in range(0, len(body), size or len(body))]
        await exchange.send(STREAM + CHUNKED)
        for piece in pieces:
            exchange.writer.write(chunk(piece))
            if size:
                await asyncio.sleep(0)
        exchange.writer.write(chunk(b""))

    return fault


@both_dialects
async def test_u16_every_legal_form_is_read_whole_and_in_single_bytes(tmp_path: Path, dialect: str) -> None:
    faults = {f"{name}-{size}": sliced(written, size) for name, written in LEGAL.items() for size in (None, 1, 7)}
    async with lab(tmp_path, *map(model, faults), faults=faults, dialect=dialect) as it:
        for name in faults:
            seen = await it.ask(name)
            assert seen.is_complete, f"{name}: {seen.body[-300:]!r}"
            assert seen.text == seen.text_due, name
        rows = await it.audit(most_attempts=len(faults))
        assert not any(row.is_estimated for row in rows), "every form's usage was read"


async def test_u16_packets_of_single_bytes_change_nothing(tmp_path: Path) -> None:
    async with lab(tmp_path, model("sliced", "through/sliced"), toxics=Toxics(slicer=1)) as it:
        assert (await it.ask("sliced")).is_complete
        await it.audit(most_attempts=1)


@both_dialects
async def test_u16_one_bad_event_does_not_kill_a_complete_stream(tmp_path: Path, dialect: str) -> None:
    def with_junk(frames: list[bytes]) -> bytes:
        middle = len(frames) // 2
        return b"".join([*frames[:middle], b'data: {"choices": [{"del\n\n', b"data: \xff\xfe\n\n", *frames[middle:]])

    async with lab(tmp_path, model("junk"), faults={"junk": sliced(with_junk, None)}, dialect=dialect) as it:
        seen = await it.ask("junk")
        assert seen.is_complete
        await it.audit(most_attempts=1)


async def test_u16_a_line_of_ten_megabytes_is_an_invalid_answer(tmp_path: Path) -> None:
    def endless_line(frames: list[bytes]) -> bytes:
        return b"".join([*frames[:5], b"data: ", b"x" * (10 << 20), b"\n\n", *frames[5:]])

    async with lab(tmp_path, model("line"), faults={"line": sliced(endless_line, 1 << 16)}) as it:
        seen = await it.ask("line")
        assert (seen.status, seen.code, seen.is_done) == (200, "upstream_invalid_response", False)
        assert seen.size < 2 << 20
        await it.audit(most_attempts=1)


# ---- answers without end -------------------------------------------------------------------------------------------


def peak_bytes(*, reset: bool = False) -> int:
    """The most memory that this process has had since the last reset."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


MEBIBYTE = 1 << 20
needs_proc = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is read from /proc")


def endless(piece: bytes, head: bytes) -> Fault:
    async def fault(exchange: Exchange) -> None:
        exchange.charge(1)
        await exchange.send(head + CHUNKED, *map(chunk, exchange.speech.frames()[:3] if exchange.is_stream else []))
        while not exchange.writer.is_closing():
            await exchange.send(chunk(piece))

    return fault


@needs_proc
@pytest.mark.parametrize(
    ("piece", "stream"),
    [
        (data({"choices": [{"index": 0, "delta": {"content": "x" * 60_000}}]}), True),
        (b": " + b"c" * 60_000 + b"\n\n", True),
        (b" " * 60_000, False),
    ],
    ids=["words", "comments", "whole"],
)
async def test_u19_an_endless_answer_is_stopped_and_takes_no_memory(tmp_path: Path, piece: bytes, stream: bool) -> None:
    policy = "max_retry_attempts = 0"
    async with lab(tmp_path, model("endless"), faults={"endless": endless(piece, STREAM)}, policy=policy) as it:
        await it.ask("ok", stream=stream)
        before = peak_bytes(reset=True)
        seen = await it.ask("endless", stream=stream)
        assert (seen.code, seen.is_done) == ("upstream_invalid_response", False)
        assert seen.status == (200 if stream else 502)
        assert seen.size < 40 * MEBIBYTE
        assert seen.seconds < DEADLINE_S
        assert peak_bytes() - before < 64 * MEBIBYTE
        rows = await it.audit()
        assert [row.is_estimated for row in rows if row.kind == "settled"] == [0, 1]
