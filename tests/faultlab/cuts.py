"""F9: streams cut at random bytes, in both dialects and every framing; how many were presented as complete."""

import asyncio
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from random import Random

from faulty_upstream import CHUNKED, STREAM, TO_THE_END, Exchange, Fault, body_of, chunk
from lab import lab, model, open_files
from msgspec import Struct
from oracles import Row, Seen
from speech import DIALECTS, Speech

FRAMINGS = ("chunked", "length", "to the end")
BROKEN = "upstream_stream_cut"
TOGETHER = 8
CUT_MODELS = 100
"""So that no circuit opens: each of them breaks fewer times than that takes."""
A_LAB = 4 * CUT_MODELS


class Cuts(Struct, kw_only=True):
    """What was cut, and what clients were told."""

    cuts: int = 0
    reached: int = 0
    """Requests that had arrived at the provider."""
    false: int = 0
    """Presented as complete, and not all that there was to say."""
    whole: int = 0
    """Cut after all had been said, where nothing but the stream's end tells it: presented as complete, and it is."""


def measure(folder: Path, seed: int, cuts: int, told: Callable[[], object] = lambda: None) -> Cuts:
    """Cut at least so many streams, as many in each dialect and framing."""
    found, each = Cuts(), -(-cuts // (len(DIALECTS) * len(FRAMINGS)))
    for dialect in DIALECTS:
        for framing in FRAMINGS:
            random = Random(f"{seed} {dialect} {framing}")
            for start in range(0, each, A_LAB):
                home = folder / dialect / framing.replace(" ", "-") / str(start)
                home.mkdir(parents=True)
                places = [random.randrange(1_000_000) for _ in range(min(A_LAB, each - start))]
                _count(found, *asyncio.run(ask_for_cuts(home, dialect, framing, places, stream=True)))
                told()
    return found


def _count(found: Cuts, seen: list[Seen], arrivals: int) -> None:
    found.cuts += len(seen)
    found.reached += arrivals
    for answer in seen:
        if answer.is_complete:
            found.false += answer.text != answer.text_due
            found.whole += answer.text == answer.text_due


def response_of(speech: Speech, *, framing: str, stream: bool) -> bytes:
    """All bytes of a good answer."""
    if not stream:
        whole = speech.whole()
        return body_of(whole) if framing == "length" else STREAM + TO_THE_END + whole
    frames = speech.frames()
    if framing == "chunked":
        return b"".join([STREAM + CHUNKED, *map(chunk, frames), chunk(b"")])
    body = b"".join(frames)
    return body_of(body, kind="text/event-stream") if framing == "length" else STREAM + TO_THE_END + body


def cut_short(framing: str, hang_up: Callable[[Exchange], None]) -> Fault:
    """The argument is where, in millionths of the whole response; the bill has the words that were begun before."""

    async def cut(exchange: Exchange) -> None:
        response = response_of(exchange.speech, framing=framing, stream=exchange.is_stream)
        sent = response[: len(response) * int(exchange.argument) // 1_000_000]
        exchange.charge(sum(word.encode() in sent for word in exchange.speech.words))
        half = len(sent) // 2
        await exchange.send(sent[:half], sent[half:])
        hang_up(exchange)

    return cut


def close(exchange: Exchange) -> None:
    """FIN."""
    exchange.writer.close()


async def ask_for_cuts(
    folder: Path, dialect: str, framing: str, places: list[int], *, stream: bool
) -> tuple[list[Seen], int]:
    """Cut a stream at each of these places, in millionths, and judge it; what was seen, and how many had arrived.

    Raises AssertionError where an oracle is not content: also where an answer is presented as complete that is not.
    """
    names = [f"cut-{number}" for number in range(CUT_MODELS)]
    faults = dict.fromkeys(names, cut_short(framing, close))
    policy = "max_retry_attempts = 0"
    async with lab(folder, *map(model, names), faults=faults, dialect=dialect, policy=policy) as it:
        await it.ask("ok")
        before = open_files()
        seen: list[Seen] = []
        turns = iter(zip(cycle(names), places, strict=False))
        while together := list(islice(turns, TOGETHER)):
            seen += await asyncio.gather(*(it.ask(name, str(place), stream=stream) for name, place in together))
        _check(await it.audit(most_attempts=len(places) + 1))
        assert open_files() <= before + 3 * TOGETHER, "E11: connections are left open"
        return seen, len(it.upstream.arrivals) - 1


def _check(rows: list[Row]) -> None:
    outcomes = {row.outcome for row in rows}
    # libcurl may offer a connection again whose head was cut: the next request is then lost before it arrives.
    lost = {"upstream_connection_lost", "upstream_invalid_response"}
    assert outcomes <= {None, "complete", BROKEN, *lost}, outcomes
