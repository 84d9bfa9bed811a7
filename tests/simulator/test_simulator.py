"""The simulated provider from outside: HTTP requests in, HTTP answers out, in both wire formats."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from routewright.dialects.wire import WireRequest
from routewright.errors import StreamCut
from routewright.simulator import FaultPlan, FaultRates, Simulator
from routewright.simulator.provider import SimulatedResponse
from routewright.testing import FakeClock
from routewright.transport import Transport

Json = dict[str, Any]
T = TypeVar("T")

OPENAI = "simulator:/v1/chat/completions"
ANTHROPIC = "simulator:/v1/messages"
MODELS = {OPENAI: "gpt-4.1", ANTHROPIC: "claude-opus-4-7"}
QUESTION = [{"role": "user", "content": "How do bridges carry their load?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}}}
WEATHER = {"name": "get_weather", "parameters": {**CITY, "required": ["city"]}}
NEWS = {"name": "get_news", "parameters": {"type": "object", "properties": {"topic": {"enum": ["art"]}}}}
LONG_PROMPT = "You are a patient librarian. " * 300


def run(main: Coroutine[Any, Any, T]) -> T:
    return FakeClock().run(main)


def quick(**options: Any) -> Simulator:
    return Simulator(time_scale=0, **options)


async def send(simulator: Transport, url: str, **fields: Any) -> SimulatedResponse:
    body = {"model": MODELS.get(url, "any"), "messages": QUESTION, **fields}
    if url == ANTHROPIC:
        body.setdefault("max_tokens", 4000)
    request = WireRequest(url=url, headers={}, body=json.dumps(body).encode())
    response = await simulator.send(request, connect_timeout_s=1.0)
    assert isinstance(response, SimulatedResponse)
    return response


async def read(response: SimulatedResponse, pieces: list[bytes] | None = None) -> bytes:
    """The rest of the body; `pieces` keeps what came of it even when it is cut."""
    pieces = [] if pieces is None else pieces
    while data := await response.next():
        pieces.append(data)
    return b"".join(pieces)


def ask(url: str, simulator: Simulator | None = None, **fields: Any) -> Json:
    async def main() -> Json:
        response = await send(simulator or quick(), url, **fields)
        parsed: Json = json.loads(await read(response))
        return parsed

    return run(main())


def stream(url: str, simulator: Simulator | None = None, **fields: Any) -> list[Json]:
    """The JSON of all events; each one's name, where the format has names, is checked against its type."""

    async def main() -> bytes:
        return await read(await send(simulator or quick(), url, stream=True, **fields))

    events = []
    for block in run(main()).decode().removesuffix("\n\n").split("\n\n"):
        *names, data = block.split("\n")
        assert data.startswith("data: ")
        event = {"type": "done"} if data == "data: [DONE]" else json.loads(data.removeprefix("data: "))
        assert [name.removeprefix("event: ") for name in names] == ([event["type"]] if url == ANTHROPIC else [])
        events.append(event)
    return events


def text_of(url: str, answer: Json) -> str:
    text = answer["content"][0]["text"] if url == ANTHROPIC else answer["choices"][0]["message"]["content"]
    assert isinstance(text, str)
    return text


def streamed_text(url: str, events: list[Json]) -> str:
    if url == ANTHROPIC:
        return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", ()))


both_formats = pytest.mark.parametrize("url", [OPENAI, ANTHROPIC])


# ---- what is answered -------------------------------------------------------------------------------------------


@both_formats
def test_an_answer_says_that_it_is_simulated(url: str) -> None:
    response = run(send(quick(), url))
    assert (response.status, response.headers["x-simulated"]) == (200, "true")
    assert text_of(url, ask(url)).startswith(f"[simulated {MODELS[url]}] ")


@both_formats
def test_the_same_seed_and_request_give_the_same_answer(url: str) -> None:
    clock = FakeClock()
    first = ask(url, quick(seed=1, clock=clock))
    assert first == ask(url, quick(seed=1, clock=clock))
    assert text_of(url, first) != text_of(url, ask(url, quick(seed=2)))
    assert text_of(url, first) != text_of(url, ask(url, quick(seed=1), messages=[{"role": "user", "content": "Hi"}]))


@both_formats
def test_repeating_a_request_repeats_the_text_under_another_id(url: str) -> None:
    simulator = quick()
    first, second = ask(url, simulator), ask(url, simulator)
    assert text_of(url, first) == text_of(url, second)
    assert first["id"] != second["id"]


@both_formats
def test_a_streamed_answer_is_the_unstreamed_one_in_pieces(url: str) -> None:
    assert streamed_text(url, stream(url)) == text_of(url, ask(url))


@both_formats
def test_max_tokens_cuts_the_same_answer(url: str) -> None:
    whole = text_of(url, ask(url))
    cut = ask(url, max_tokens=9)
    assert whole.startswith(text_of(url, cut))
    assert len(text_of(url, cut)) < len(whole)
    if url == ANTHROPIC:
        assert (cut["stop_reason"], cut["usage"]["output_tokens"]) == ("max_tokens", 9)
    else:
        assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 9)


@both_formats
def test_the_first_stop_sequence_ends_the_answer(url: str) -> None:
    whole = text_of(url, ask(url))
    later, earlier = whole[60:66], whole[40:46]
    stops = [later, earlier, "never said"]
    cut = ask(url, stop_sequences=stops) if url == ANTHROPIC else ask(url, stop=stops)
    assert text_of(url, cut) == whole[: whole.index(earlier)]
    if url == ANTHROPIC:
        assert (cut["stop_reason"], cut["stop_sequence"]) == ("stop_sequence", earlier)
    else:
        assert cut["choices"][0]["finish_reason"] == "stop"


def test_a_stop_sequence_may_be_given_alone() -> None:
    assert text_of(OPENAI, ask(OPENAI, stop="]")) == "[simulated gpt-4.1"


def test_n_answers_differ_and_add_up() -> None:
    answer = ask(OPENAI, n=3)
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert texts[0] == text_of(OPENAI, ask(OPENAI))
    events = stream(OPENAI, n=3)
    for index, text in enumerate(texts):
        pieces = [c["delta"].get("content") or "" for e in events for c in e.get("choices", ()) if c["index"] == index]
        assert "".join(pieces) == text


# ---- forms of answer --------------------------------------------------------------------------------------------


def openai_schema(schema: Json) -> Json:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}}


def anthropic_schema(schema: Json) -> Json:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


@pytest.mark.parametrize(("url", "fields"), [(OPENAI, openai_schema), (ANTHROPIC, anthropic_schema)])
def test_an_answer_follows_its_schema(url: str, fields: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"label": {"enum": ["spam", "ham"]}, "score": {"type": "number", "minimum": 0, "maximum": 1}},
        "required": ["label", "score"],
    }
    made = json.loads(text_of(url, ask(url, **fields(schema))))
    assert made["label"] in ("spam", "ham")
    assert 0 <= made["score"] <= 1
    assert json.loads(streamed_text(url, stream(url, **fields(schema)))) == made


@pytest.mark.parametrize(("url", "fields"), [(OPENAI, openai_schema), (ANTHROPIC, anthropic_schema)])
def test_an_impossible_schema_is_the_callers_mistake(url: str, fields: Any) -> None:
    answer = ask(url, **fields({"type": "integer", "minimum": 2, "maximum": 1}))
    assert answer["error"]["type"] == "invalid_request_error"
    assert "nothing lies between 2 and 1" in answer["error"]["message"]


def test_json_mode_answers_with_an_object() -> None:
    made = json.loads(text_of(OPENAI, ask(OPENAI, response_format={"type": "json_object"})))
    assert made["simulated"] is True
    assert made["answer"].startswith("[simulated gpt-4.1]")


# ---- tools ------------------------------------------------------------------------------------------------------


def openai_tools(*tools: Json) -> Json:
    return {"tools": [{"type": "function", "function": tool} for tool in tools]}


def anthropic_tools(*tools: Json) -> Json:
    return {"tools": [{"name": tool["name"], "input_schema": tool["parameters"]} for tool in tools]}


def openai_calls(answer: Json) -> list[tuple[str, Json]]:
    calls = answer["choices"][0]["message"].get("tool_calls", [])
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def anthropic_calls(answer: Json) -> list[tuple[str, Json]]:
    return [(block["name"], block["input"]) for block in answer["content"] if block["type"] == "tool_use"]


def said(text: str) -> Json:
    return {"messages": [{"role": "user", "content": text}]}


def test_a_tool_the_user_names_is_called_with_fitting_arguments() -> None:
    offered = said("Please get weather for Rome")
    openai = ask(OPENAI, **offered, **openai_tools(WEATHER, NEWS))
    anthropic = ask(ANTHROPIC, **offered, **anthropic_tools(WEATHER, NEWS))
    assert openai["choices"][0]["finish_reason"] == "tool_calls"
    assert anthropic["stop_reason"] == "tool_use"
    for [(name, arguments)] in (openai_calls(openai), anthropic_calls(anthropic)):
        assert name == "get_weather"
        assert isinstance(arguments["city"], str)
        assert arguments["days"] >= 1


def test_a_tool_is_not_called_unasked() -> None:
    assert openai_calls(ask(OPENAI, **openai_tools(WEATHER))) == []
    assert anthropic_calls(ask(ANTHROPIC, **anthropic_tools(WEATHER))) == []
    assert openai_calls(ask(OPENAI, **said("get_weather"), **openai_tools(WEATHER), tool_choice="none")) == []


def test_several_tools_are_called_at_once_unless_forbidden() -> None:
    both = said("use get_weather and get_news")
    for is_parallel, names in ((True, ["get_weather", "get_news"]), (False, ["get_weather"])):
        answer = ask(OPENAI, **both, **openai_tools(WEATHER, NEWS), parallel_tool_calls=is_parallel)
        assert [name for name, _ in openai_calls(answer)] == names
    alone = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(anthropic_calls(ask(ANTHROPIC, **both, **anthropic_tools(WEATHER, NEWS)))) == 2
    assert len(anthropic_calls(ask(ANTHROPIC, **both, **anthropic_tools(WEATHER, NEWS), tool_choice=alone))) == 1


def test_a_forced_tool_is_called() -> None:
    named = {"type": "function", "function": {"name": "get_news"}}
    [(openai, arguments)] = openai_calls(ask(OPENAI, **openai_tools(WEATHER, NEWS), tool_choice=named))
    assert (openai, arguments) == ("get_news", {"topic": "art"})
    [(anthropic, _)] = anthropic_calls(
        ask(ANTHROPIC, **anthropic_tools(WEATHER, NEWS), tool_choice={"type": "tool", "name": "get_news"})
    )
    assert anthropic == "get_news"
    assert len(openai_calls(ask(OPENAI, **openai_tools(WEATHER, NEWS), tool_choice="required"))) == 1
    assert len(anthropic_calls(ask(ANTHROPIC, **anthropic_tools(WEATHER), tool_choice={"type": "any"}))) == 1


def test_a_tool_result_is_answered_with_words() -> None:
    history = [
        {"role": "user", "content": "get_weather"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": WEATHER}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "get_weather says: sunny"},
    ]
    assert openai_calls(ask(OPENAI, messages=history, **openai_tools(WEATHER))) == []
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "get_weather says: sunny"}
    turn = [{"role": "user", "content": [block]}]
    assert anthropic_calls(ask(ANTHROPIC, messages=turn, **anthropic_tools(WEATHER))) == []


def test_streamed_tool_calls_put_together_are_the_whole_ones() -> None:
    asked = said("use get_weather and get_news")
    pieces: dict[int, list[str]] = {}
    for event in stream(OPENAI, **asked, **openai_tools(WEATHER, NEWS)):
        for choice in event.get("choices", ()):
            for call in choice["delta"].get("tool_calls", ()):
                pieces.setdefault(call["index"], []).append(call["function"]["arguments"])
    whole = openai_calls(ask(OPENAI, **asked, **openai_tools(WEATHER, NEWS)))
    assert [json.loads("".join(pieces[index])) for index in (0, 1)] == [arguments for _, arguments in whole]

    blocks: dict[int, list[str]] = {}
    for event in stream(ANTHROPIC, **asked, **anthropic_tools(WEATHER, NEWS)):
        if event["type"] == "content_block_delta":
            blocks.setdefault(event["index"], []).append(event["delta"]["partial_json"])
    inputs = [arguments for _, arguments in anthropic_calls(ask(ANTHROPIC, **asked, **anthropic_tools(WEATHER, NEWS)))]
    assert [json.loads("".join(blocks[index])) for index in (0, 1)] == inputs


@pytest.mark.parametrize("limit", range(1, 12))
def test_max_tokens_cuts_tool_calls_too(limit: int) -> None:
    fields = {**said("use get_weather and get_news"), "max_tokens": limit}
    openai = ask(OPENAI, **fields, **openai_tools(WEATHER, NEWS))
    assert openai["usage"]["completion_tokens"] == limit
    assert openai["choices"][0]["finish_reason"] == "length"
    anthropic = ask(ANTHROPIC, **fields, **anthropic_tools(WEATHER, NEWS))
    assert (anthropic["stop_reason"], anthropic["usage"]["output_tokens"]) == ("max_tokens", limit)


# ---- usage ------------------------------------------------------------------------------------------------------


def test_openai_usage_adds_up_and_is_streamed_only_when_asked_for() -> None:
    usage = ask(OPENAI)["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    *chunks, last, done = stream(OPENAI, stream_options={"include_usage": True})
    assert (last["choices"], last["usage"], done) == ([], usage, {"type": "done"})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert all("usage" not in chunk for chunk in stream(OPENAI))


def test_anthropic_usage_is_the_same_streamed_and_whole() -> None:
    whole = ask(ANTHROPIC)["usage"]
    events = stream(ANTHROPIC)
    opening = events[0]["message"]["usage"]
    assert {**opening, "output_tokens": whole["output_tokens"]} == whole
    [closing] = [event["usage"] for event in events if event["type"] == "message_delta"]
    assert {**whole, **closing} == whole
    assert closing["output_tokens"] == sum(event["type"] == "content_block_delta" for event in events)


def test_pictures_weigh_the_same_however_long_their_url() -> None:
    def weighed(url: str) -> int:
        picture = {"type": "image_url", "image_url": {"url": url}}
        tokens = ask(OPENAI, messages=[{"role": "user", "content": [picture]}])["usage"]["prompt_tokens"]
        assert isinstance(tokens, int)
        return tokens

    assert weighed("https://example.com/a.png") == weighed("data:image/png;base64," + "A" * 100_000)


def test_openai_bills_a_long_prefix_as_cached_from_its_second_use() -> None:
    simulator = quick()

    def usage(question: str, prompt: str = LONG_PROMPT, **fields: Any) -> Json:
        messages = [{"role": "system", "content": prompt}, {"role": "user", "content": question}]
        told: Json = ask(OPENAI, simulator, messages=messages, **fields)["usage"]
        return told

    first, second, short = usage("One?"), usage("Two, three?"), usage("One?", "Be brief.")
    cached = second["prompt_tokens_details"]["cached_tokens"]
    assert first["prompt_tokens_details"]["cached_tokens"] == 0
    assert cached % 128 == 0
    assert 1024 <= cached < second["prompt_tokens"]
    assert usage("One?", "Be brief.")["prompt_tokens_details"] == short["prompt_tokens_details"]
    assert usage("One?", model="gpt-5")["prompt_tokens_details"]["cached_tokens"] == 0


@pytest.mark.parametrize("ttl", ["5m", "1h"])
def test_anthropic_bills_a_marked_prefix_as_written_then_read(ttl: str) -> None:
    simulator = quick()
    marked = [{"type": "text", "text": LONG_PROMPT, "cache_control": {"type": "ephemeral", "ttl": ttl}}]
    first, second = (ask(ANTHROPIC, simulator, system=marked)["usage"] for _ in range(2))
    written = first["cache_creation_input_tokens"]
    assert written == first["cache_creation"][f"ephemeral_{ttl}_input_tokens"] == second["cache_read_input_tokens"]
    assert written >= 1024
    assert first["cache_read_input_tokens"] == second["cache_creation_input_tokens"] == 0
    assert first["input_tokens"] == second["input_tokens"]


def test_anthropic_caches_nothing_unmarked() -> None:
    simulator = quick()
    first, second = (ask(ANTHROPIC, simulator, system=LONG_PROMPT)["usage"] for _ in range(2))
    assert first == second
    assert second["cache_read_input_tokens"] == 0


# ---- refusals ---------------------------------------------------------------------------------------------------


def refusal(url: str, simulator: Simulator, **fields: Any) -> tuple[int, Json, dict[str, str]]:
    async def main() -> tuple[int, Json, dict[str, str]]:
        response = await send(simulator, url, **fields)
        return response.status, json.loads(await read(response)), dict(response.headers)

    return run(main())


def test_an_unknown_model_is_not_found() -> None:
    status, body, _ = refusal(OPENAI, quick(), model="gpt-99")
    assert (status, body["error"]["code"], body["error"]["type"]) == (404, "model_not_found", "invalid_request_error")
    status, body, headers = refusal(ANTHROPIC, quick(), model="gpt-99")
    assert (status, body["type"], body["error"]["type"]) == (404, "error", "not_found_error")
    assert body["request_id"] == headers["request-id"]


def test_an_unknown_address_is_not_found() -> None:
    assert refusal("simulator:/v1/pictures", quick())[0] == 404


@both_formats
@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": "hello"},
        {"max_tokens": 0},
        {"tools": {}},
        {"model": None},
    ],
)
def test_a_malformed_request_is_refused(url: str, fields: Json) -> None:
    status, body, _ = refusal(url, quick(), **fields)
    assert (status, body["error"]["type"]) == (400, "invalid_request_error")


def test_anthropic_wants_max_tokens() -> None:
    status, body, _ = refusal(ANTHROPIC, quick(), max_tokens=None)
    assert (status, "max_tokens" in body["error"]["message"]) == (400, True)


def test_a_forced_tool_must_be_offered() -> None:
    named = {"type": "function", "function": {"name": "absent"}}
    assert refusal(OPENAI, quick(), **openai_tools(WEATHER), tool_choice=named)[0] == 400
    assert refusal(ANTHROPIC, quick(), tool_choice={"type": "tool", "name": "absent"})[0] == 400


# ---- faults -----------------------------------------------------------------------------------------------------


def always(**rates: float) -> Simulator:
    return quick(faults=FaultPlan(rates=FaultRates(**rates), retry_after_s=7))


@pytest.mark.parametrize(
    ("url", "rates", "status", "kind"),
    [
        (OPENAI, {"rate_limited": 1.0}, 429, "requests"),
        (OPENAI, {"failed": 1.0}, 500, "server_error"),
        (OPENAI, {"overloaded": 1.0}, 503, "server_error"),
        (ANTHROPIC, {"rate_limited": 1.0}, 429, "rate_limit_error"),
        (ANTHROPIC, {"failed": 1.0}, 500, "api_error"),
        (ANTHROPIC, {"overloaded": 1.0}, 529, "overloaded_error"),
    ],
)
def test_planned_errors_come_in_the_formats_own_words(
    url: str, rates: dict[str, float], status: int, kind: str
) -> None:
    got, body, headers = refusal(url, always(**rates))
    assert (got, body["error"]["type"]) == (status, kind)
    assert headers.get("retry-after") == ("7" if status == 429 else None)


@both_formats
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_cut_answer_raises_and_is_never_complete(url: str, is_streamed: bool) -> None:
    async def main() -> bytes:
        response = await send(always(cut=1.0), url, stream=is_streamed)
        pieces: list[bytes] = []
        with pytest.raises(StreamCut):
            await read(response, pieces)
        with pytest.raises(StreamCut):
            await response.next()
        return b"".join(pieces)

    async def whole() -> bytes:
        return await read(await send(quick(), url, stream=is_streamed))

    assert len(run(main())) < len(run(whole()))


def test_a_retry_meets_its_own_luck() -> None:
    simulator = always(failed=0.5)
    outcomes = {refusal(OPENAI, simulator)[0] for _ in range(20)}
    assert outcomes == {200, 500}


def test_faults_are_drawn_from_the_seed_and_as_often_as_planned() -> None:
    def outcomes(seed: int) -> list[int]:
        plan = FaultPlan(rates=FaultRates(failed=0.1, overloaded=0.2))
        simulator = quick(seed=seed, faults=plan)
        return [refusal(OPENAI, simulator)[0] for _ in range(300)]

    drawn = outcomes(1)
    assert drawn == outcomes(1)
    assert (drawn.count(500) / 300, drawn.count(503) / 300) == pytest.approx((0.1, 0.2), abs=0.05)


def test_a_plan_may_single_out_a_model() -> None:
    simulator = quick(faults=FaultPlan(by_model={"gpt-5": FaultRates(failed=1.0)}))
    assert refusal(OPENAI, simulator, model="gpt-5")[0] == 500
    assert refusal(OPENAI, simulator)[0] == 200


@pytest.mark.parametrize("rates", [{"failed": -0.1}, {"failed": 0.6, "cut": 0.6}])
def test_rates_that_are_no_probabilities_are_refused(rates: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at most 1"):
        FaultRates(**rates)


# ---- time -------------------------------------------------------------------------------------------------------


def times(simulator: Simulator, **fields: Any) -> tuple[float, float, float]:
    """Seconds until headers, first byte and end."""
    clock = FakeClock()

    async def main() -> tuple[float, float, float]:
        response = await send(simulator, ANTHROPIC, **fields)
        headers = clock.monotonic()
        await response.next()
        first = clock.monotonic()
        await read(response)
        return headers, first, clock.monotonic()

    return clock.run(main())


def test_a_streams_headers_come_at_once_then_a_wait_then_token_by_token() -> None:
    headers, first, end = times(Simulator(time_scale=1.0), stream=True, max_tokens=60)
    assert headers == 0
    assert 0.2 < first < 2.0
    assert 0.5 < end - first < 2.0


def test_an_unstreamed_answer_comes_all_at_its_end() -> None:
    headers, first, end = times(Simulator(time_scale=1.0), max_tokens=60)
    assert headers == first == end
    assert end > 0.7


def test_time_scale_multiplies_every_wait() -> None:
    whole, tenth = times(Simulator(time_scale=1.0), stream=True), times(Simulator(), stream=True)
    assert tenth == pytest.approx([seconds / 10 for seconds in whole], abs=1e-6)
    assert times(quick(), stream=True) == (0, 0, 0)


def test_a_repeated_request_has_its_own_pace() -> None:
    simulator = Simulator(time_scale=1.0)
    assert times(simulator) != times(simulator)


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_slow_first_token_is_waited_for_in_full_at_any_scale(is_streamed: bool) -> None:
    slow = quick(faults=FaultPlan(rates=FaultRates(slow=1.0), slow_s=30.0))
    headers, first, _ = times(slow, stream=is_streamed)
    assert (headers, first) == pytest.approx((0 if is_streamed else 30, 30))


# ---- giving up --------------------------------------------------------------------------------------------------


def test_an_aborted_answer_gives_nothing_more() -> None:
    async def main() -> None:
        response = await send(quick(), OPENAI, stream=True)
        assert await response.next()
        response.abort()
        response.abort()
        with pytest.raises(StreamCut):
            await response.next()

    run(main())


def test_a_cancelled_wait_aborts_the_answer() -> None:
    async def main() -> None:
        response = await send(Simulator(time_scale=1.0), OPENAI, stream=True)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(response.next(), 0.001)
        with pytest.raises(StreamCut):
            await response.next()

    run(main())


def test_an_answer_aborted_while_it_is_waited_for_is_cut() -> None:
    async def main() -> None:
        response = await send(Simulator(time_scale=1.0), OPENAI, stream=True)
        waiting = asyncio.create_task(response.next())
        await asyncio.sleep(0)
        response.abort()
        with pytest.raises(StreamCut):
            await waiting

    run(main())


def test_memory_of_requests_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routewright.simulator.provider.REMEMBERED", 2)
    simulator = quick()
    first = ask(OPENAI, simulator)["id"]
    for other in ("a", "b"):
        ask(OPENAI, simulator, **said(other))
    assert ask(OPENAI, simulator)["id"] == first, "a forgotten request counts as new"
