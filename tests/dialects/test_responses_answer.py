"""Replies in the form of OpenAI's responses: passed on as they came, or composed anew from events."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from builders import attempt, call, deployment, model
from builders import reply as built_reply
from routewright.call import Call
from routewright.dialects.decoding import StreamDecoder
from routewright.dialects.responses_answer import response_in, write_response
from routewright.dialects.responses_stream import ResponseReader, read_response
from routewright.dialects.responses_writer import PassingWriter, TranslatingWriter, stream_writer
from routewright.dialects.sse import Splitter, payload
from routewright.errors import StreamCut
from routewright.reply import AttemptReport, Draft, Event, FinishReason, Receipt, Reply, ToolCallDelta
from routewright.usage import Usage

CREATED_S = 1_741_570_283
USED = Usage(input=9, cache_read=2, output=3, reasoning=4)
HI = Raw(b'[{"token":"Hi","bytes":[72,105],"logprob":-0.5,"top_logprobs":[]}]')


def reply_to(dialect: str, *, asked: Call | None = None, finish: FinishReason = "stop") -> Reply:
    """A reply that has ended and been paid for."""
    place = model("swift", deployment("acme/swift", dialect=dialect))
    reply = built_reply(attempt(asked or call(id="0198-ab"), place))
    reply.usage, reply.finish, reply.served_model = USED, finish, "swift-2025"
    settled = AttemptReport(
        attempt_id="attempt-1",
        model="swift",
        deployment="acme/swift",
        cause="first",
        outcome="complete",
        cost_nanousd=12_345,
        usage=Usage(input=8, output=5),
        is_estimated=False,
    )
    reply.receipt = Receipt(cost_nanousd=12_345, is_estimated=False, attempts=(settled,))
    return reply


def stream(reply: Reply, *events: Event) -> list[dict[str, Any]]:
    """What the translating writer tells, event by event."""
    writer = TranslatingWriter(reply, CREATED_S)
    return frames(writer.write(events) + writer.end(reply))


def frames(sent: bytes) -> list[dict[str, Any]]:
    told = []
    for frame in Splitter().feed(sent):
        data = msgspec.json.decode(frame.data)
        assert frame.raw.startswith(b"event: %b\n" % data["type"].encode())
        told.append(data)
    assert [data["sequence_number"] for data in told] == list(range(len(told)))
    return told


# ---- composed -------------------------------------------------------------------------------------------------------


def test_words_are_a_message_that_begins_grows_and_is_done() -> None:
    told = stream(reply_to("openai_chat"), Event(text="He"), Event(text="llo", finish="stop"))
    assert [data["type"] for data in told] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    response = told[-1]["response"]
    [item] = response["output"]
    assert item == {
        "id": "msg_0198ab000",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
    }
    assert told[-2]["item"] == item
    assert (response["id"], response["status"], response["model"]) == ("resp_0198ab", "completed", "swift-2025")
    assert response["usage"] == {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 18,
        "cost": 0.000012345,
    }


def test_thoughts_are_items_with_the_seal_of_their_maker() -> None:
    told = stream(
        reply_to("anthropic_messages"),
        Event(reasoning="Hm."),
        Event(seal="one"),
        Event(seal="hidden"),
        Event(reasoning="Ah."),
        Event(text="Hi"),
    )
    thoughts = [item for item in told[-1]["response"]["output"] if item["type"] == "reasoning"]
    assert [(item["summary"], item.get("encrypted_content")) for item in thoughts] == [
        ([{"type": "summary_text", "text": "Hm."}], "rw1.anthropic_messages.one"),
        ([], "rw1.anthropic_messages.hidden"),
        ([{"type": "summary_text", "text": "Ah."}], "rw1.anthropic_messages."),
    ]
    assert [data["item"] for data in told if data["type"] == "response.output_item.done"] == told[-1]["response"][
        "output"
    ]


def test_calls_may_grow_side_by_side() -> None:
    told = stream(
        reply_to("openai_chat", finish="tool_calls"),
        Event(text="Let me look."),
        Event(tool_calls=(ToolCallDelta(0, "c1", "look", '{"a"'), ToolCallDelta(1, "c2", "hear"))),
        Event(tool_calls=(ToolCallDelta(0, arguments=":1}"), ToolCallDelta(1, arguments="{}"))),
    )
    assert [item.get("arguments") for item in told[-1]["response"]["output"]] == [None, '{"a":1}', "{}"]
    done = [data for data in told if data["type"] == "response.function_call_arguments.done"]
    assert [(data["name"], data["arguments"], data["output_index"]) for data in done] == [
        ("look", '{"a":1}', 1),
        ("hear", "{}", 2),
    ]


def test_a_refusal_is_a_part_beside_the_words() -> None:
    told = stream(reply_to("openai_chat"), Event(text="Well."), Event(refusal="N"), Event(refusal="o."))
    [item] = told[-1]["response"]["output"]
    assert [part.get("refusal") for part in item["content"]] == [None, "No."]
    assert {data["content_index"] for data in told if data["type"] == "response.refusal.delta"} == {1}


def test_log_probabilities_go_with_their_words() -> None:
    told = stream(reply_to("openai_chat"), Event(text="Hi", logprobs=HI), Event(text="Hi", logprobs=HI))
    [item] = told[-1]["response"]["output"]
    assert len(item["content"][0]["logprobs"]) == 2
    assert [data["logprobs"] for data in told if "delta" in data] == [msgspec.json.decode(HI)] * 2


@pytest.mark.parametrize(("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_was_cut_is_incomplete(finish: FinishReason, reason: str) -> None:
    told = stream(reply_to("openai_chat", finish=finish), Event(text="He"))
    assert told[-1]["type"] == "response.incomplete"
    assert told[-1]["response"]["incomplete_details"] == {"reason": reason}
    assert told[-1]["response"]["output"][0]["status"] == "incomplete"


def test_an_empty_answer_is_an_empty_message() -> None:
    told = stream(reply_to("openai_chat"))
    assert [item["content"][0]["text"] for item in told[-1]["response"]["output"]] == [""]


def test_usage_that_nobody_reported_is_what_was_charged_and_says_so() -> None:
    reply = reply_to("openai_chat")
    reply.usage = None
    usage = stream(reply, Event(text="Hi"))[-1]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["estimated"]) == (8, 5, True)


def test_a_response_repeats_what_was_asked() -> None:
    body = {"instructions": "Be brief.", "metadata": {"a": "b"}, "previous_response_id": "resp_0", "temperature": 0.5}
    asked = call(dialect="openai_responses", body=body)
    response = stream(reply_to("openai_chat", asked=asked), Event(text="Hi"))[-1]["response"]
    assert {name: response[name] for name in body} == body
    assert response["tools"] == []


def test_a_stream_that_breaks_off_fails_in_both_words_and_never_ends() -> None:
    reply = reply_to("openai_chat")
    writer = TranslatingWriter(reply, CREATED_S)
    told = frames(writer.write((Event(text="He"),)) + writer.fail(StreamCut("it broke off")))
    failed, error = told[-2:]
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "upstream_stream_cut", "message": "it broke off"}
    assert (error["type"], error["code"], error["error"]["code"]) == ("error", *["upstream_stream_cut"] * 2)


WORDS = st.text(min_size=1, max_size=9)
EVENTS = st.lists(
    st.one_of(
        st.builds(lambda text: Event(text=text), WORDS),
        st.builds(lambda text: Event(text=text, logprobs=HI), WORDS),
        st.builds(lambda text: Event(reasoning=text), WORDS),
        st.builds(lambda seal: Event(seal=seal), WORDS),
        st.builds(lambda text: Event(refusal=text), WORDS),
        st.builds(
            lambda index, text: Event(tool_calls=(ToolCallDelta(index, f"c{index}", "look", text),)),
            st.integers(0, 2),
            st.text(max_size=9),
        ),
    ),
    max_size=12,
)


def drafted(events: Any) -> dict[str, Any]:
    """What the events say, whatever pieces they come in."""
    draft = Draft()
    for event in events:
        draft.add(event)
    return {
        "text": "".join(draft.text),
        "refusal": "".join(draft.refusal),
        "reasoning": "".join(draft.reasoning),
        "seals": [seal for _, seal in draft.seals],
        "logprobs": [entry for each in draft.logprobs for entry in msgspec.json.decode(each)],
        "calls": sorted((each.id, each.name, "".join(each.arguments)) for each in draft.calls.values()),
    }


@given(EVENTS)
def test_events_written_and_read_again_say_the_same(events: list[Event]) -> None:
    reply = reply_to("openai_chat")
    writer = TranslatingWriter(reply, CREATED_S)
    sent = b"".join(writer.write((event,)) for event in events) + writer.end(reply)
    read = StreamDecoder(ResponseReader()).feed(sent)
    said = drafted(events)
    heard = drafted(read)
    heard["seals"] = [seal for seal in heard["seals"] if seal != "rw1.openai_chat."]  # thoughts that had none
    assert heard == {**said, "seals": [f"rw1.openai_chat.{seal}" for seal in said["seals"]]}
    assert drafted(read_response(response_in(sent)))["text"] == said["text"]


def test_a_whole_answer_is_the_response_that_a_stream_ends_with() -> None:
    events = (
        Event(reasoning="Hm."),
        Event(seal="one"),
        Event(text="Hi", logprobs=HI),
        Event(refusal="No."),
        Event(tool_calls=(ToolCallDelta(0, "c", "look", "{}"),)),
    )
    reply = reply_to("anthropic_messages", finish="tool_calls")
    draft = Draft()
    for event in events:
        draft.add(event)
    whole = msgspec.json.decode(write_response(reply, draft.answer(reply), CREATED_S))
    assert whole == stream(reply, *events)[-1]["response"]
    assert len(whole["output"]) == 3


# ---- passed on ------------------------------------------------------------------------------------------------------

LAST = (
    b'event: response.completed\ndata: {"type":"response.completed","sequence_number":7,"response":'
    b'{"id":"resp_9","x":  1.50,"output":[ ],"usage":{"input_tokens":9,"new":{"y": 1}}}}\n\n'
)


def test_a_stream_of_this_dialect_is_passed_on_and_only_its_last_event_gets_the_cost() -> None:
    reply = reply_to("openai_responses")
    writer = stream_writer(reply, CREATED_S)
    assert isinstance(writer, PassingWriter)
    first = (Event(raw=b"event: x\ndata: {1}\n\n"), Event(raw=b": comment\n\n"))
    assert writer.write(first) == b"event: x\ndata: {1}\n\n: comment\n\n"
    assert writer.write((Event(raw=LAST, finish="stop"),)) == b""
    assert writer.end(reply) == (
        b'event: response.completed\ndata: {"type":"response.completed","sequence_number":7,"response":'
        b'{"id":"resp_9","x":1.50,"output":[ ],"usage":{"input_tokens":9,"new":{"y": 1},"cost":0.000012345}}}\n\n'
    )


def test_every_byte_before_the_last_event_is_the_providers() -> None:
    began = (
        b'event: response.created\r\ndata: {"type":"response.created","response":{"id":"resp_9"},  "new":[1]}\r\n\r\n'
        b": keep-alive\n\n"
        b'event: x\ndata: {"type": "response.output_text.delta", "delta": "Gr\\u00fc\xc3\x9f"}\n\n'
        b'event: response.novelty\ndata: {"type":"response.novelty"}\n\n'
    )
    for size in (1, 7, 1_000):
        reply = reply_to("openai_responses")
        writer, decoder, sent = PassingWriter(reply, CREATED_S), StreamDecoder(ResponseReader()), b""
        received = began + LAST
        for at in range(0, len(received), size):
            sent += writer.write(decoder.feed(received[at : at + size]))
        assert sent == began
        assert msgspec.json.decode(payload(writer.end(reply)))["response"]["id"] == "resp_9"


def test_a_last_event_without_usage_has_no_place_for_a_cost() -> None:
    reply = reply_to("openai_responses")
    writer = PassingWriter(reply, CREATED_S)
    raw = b'event: response.completed\ndata: {"type":"response.completed","response":{"usage":null}}\n\n'
    writer.write((Event(raw=raw, finish="stop"),))
    assert writer.end(reply) == raw


def test_a_passed_stream_that_breaks_off_goes_on_counting() -> None:
    reply = reply_to("openai_responses")
    reply.provider_id = "resp_9"
    writer = PassingWriter(reply, CREATED_S)
    writer.write((Event(raw=b'event: x\ndata: {"type":"x","sequence_number":41}\n\n'),))
    told = [msgspec.json.decode(frame.data) for frame in Splitter().feed(writer.fail(StreamCut("gone")))]
    assert [data["sequence_number"] for data in told] == [42, 43]
    assert told[0]["response"]["id"] == "resp_9"
    nothing = PassingWriter(reply, CREATED_S).fail(StreamCut("gone"))
    assert b'"sequence_number":0' in nothing


def test_the_response_is_found_in_what_was_sent() -> None:
    assert response_in(b'{"id":"resp_1"}') == b'{"id":"resp_1"}'
    assert response_in(b"event: a\ndata: {}\n\n" + LAST).startswith(b'{"id":"resp_9"')
