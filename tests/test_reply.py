import asyncio

import pytest

from builders import ListSource, attempt, call, deployment, model, reply
from routewright.call import Thinking
from routewright.dialects.known import DOWNSTREAMS
from routewright.errors import LedgerUnavailable, StreamCut
from routewright.reply import Ending, Event, Receipt, Reply, Taker, ToolCallDelta
from routewright.usage import Usage

RECEIPT = Receipt(cost_nanousd=5, is_estimated=False, attempts=())


def give_receipt(closed: Reply) -> None:
    closed.receipt = RECEIPT


async def test_reading_puts_the_pieces_together() -> None:
    source = ListSource(
        (
            Event(text="lo", tool_calls=(ToolCallDelta(0, "call-1", "look", '{"at"'),)),
            Event(text="ignored: another choice", choice=1),
        ),
        (Event(tool_calls=(ToolCallDelta(0, arguments=":1}"), ToolCallDelta(1, "call-2", "go")), finish="tool_calls"),),
        (Event(usage=Usage(input=3, output=4), model="swift-2026"),),
    )
    whole = await Reply(attempt(), source, (Event(text="Hel"),)).on_close(give_receipt).read()
    assert whole.text == "Hello"
    assert [(each.id, each.name, each.arguments) for each in whole.tool_calls] == [
        ("call-1", "look", '{"at":1}'),
        ("call-2", "go", ""),
    ]
    assert (whole.finish, whole.usage, whole.served_model) == ("tool_calls", Usage(input=3, output=4), "swift-2026")
    assert whole.cost_usd.as_tuple().exponent == -9


async def test_reasoning_is_kept_in_its_stretches_each_with_its_seal() -> None:
    source = ListSource(
        (Event(reasoning="b", seal="sealed-1"), Event(seal="sealed-2"), Event(text="so"), Event(reasoning="c")),
    )
    whole = await Reply(attempt(), source, (Event(reasoning="a"),)).on_close(give_receipt).read()
    dialect = attempt().deployment.dialect
    assert whole.thinking == (
        Thinking("ab", "sealed-1", dialect),
        Thinking("", "sealed-2", dialect),
        Thinking("c", dialect=dialect),
    )
    assert whole.reasoning == "abc"


async def test_callbacks_run_once_in_the_order_they_were_left() -> None:
    ran: list[str] = []
    answer = reply().on_close(lambda _: ran.append("inner")).on_close(lambda _: ran.append("outer"))
    while await answer.next():
        pass
    answer.close()
    assert ran == ["inner", "outer"]
    assert answer.ending is Ending.COMPLETE


def test_a_callback_that_raises_keeps_no_other_from_giving_back_what_it_holds() -> None:
    ran = []

    def raising(_: Reply) -> None:
        raise LedgerUnavailable("the journal is full")

    closing = reply().on_close(lambda _: ran.append("inner")).on_close(raising).on_close(lambda _: ran.append("outer"))
    with pytest.raises(LedgerUnavailable):
        closing.close()
    assert ran == ["inner", "outer"]


async def test_a_cut_answer_raises_and_closes_with_the_error() -> None:
    cut = StreamCut("gone")
    answer = reply(attempt(), (Event(text=" wor"),), cut)
    await answer.next()
    await answer.next()
    with pytest.raises(StreamCut):
        await answer.next()
    assert (answer.ending, answer.outcome, answer.error) == (Ending.CUT, "upstream_stream_cut", cut)


async def test_closing_early_drops_the_connection_and_counts_as_abandoned() -> None:
    source = ListSource((Event(text="more"),))
    answer = Reply(attempt(), source, (Event(text="Hello"),))
    answer.close()
    assert source.was_aborted
    assert answer.outcome == "abandoned"


async def test_a_reader_that_is_cancelled_closes_the_reply() -> None:
    class Endless(ListSource):
        async def relay(self, take: Taker) -> bool:
            await asyncio.get_running_loop().create_future()
            return True

    source = Endless()
    answer = Reply(attempt(), source, (Event(text="Hello"),))
    await answer.next()
    reading = asyncio.ensure_future(answer.next())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert answer.ending is Ending.ABANDONED
    assert source.was_aborted


async def test_the_last_usage_seen_holds_and_length_is_counted() -> None:
    answer = reply(
        attempt(),
        (Event(text="12345", usage=Usage(input=1)), Event(text="八")),
        (Event(usage=Usage(input=2, output=3)),),
    )
    while await answer.next():
        pass
    assert answer.usage == Usage(input=2, output=3)
    assert answer.text_bytes == len("Hello12345") + 3


@pytest.mark.parametrize("dialect", DOWNSTREAMS)
def test_a_text_that_is_not_the_providers_own_is_written_anew_in_its_own_dialect_too(dialect: str) -> None:
    asked = attempt(call(stream=True), model("swift", deployment("acme/swift", dialect=dialect)))
    rewritten = Reply(asked, ListSource(), (Event(text="mended"), Event(finish="stop")))
    assert rewritten.speaks(dialect)
    rewritten.is_rewritten = True
    assert not rewritten.speaks(dialect)
    written = DOWNSTREAMS[dialect].writer(rewritten, 0).write((Event(text="mended"), Event(finish="stop")))
    assert b"mended" in written
