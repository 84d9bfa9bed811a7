"""Our dialects and the simulated provider were written apart: here each is held against the other."""

import msgspec
import pytest

from builders import attempt, call, deployment, message, model
from routewright.call import Call, Message, Options, OutputFormat, Thinking, Tool, ToolCall, ToolChoice, ToolResult
from routewright.catalog.registry import Capability
from routewright.dialects.anthropic_messages import AnthropicMessages
from routewright.dialects.gemini import Gemini
from routewright.dialects.openai_chat import OpenAIChat
from routewright.dialects.openai_responses import OpenAIResponses
from routewright.dialects.wire import Upstream
from routewright.errors import ProviderError, ProviderFailed, ProviderOverloaded, ProviderRejected, StreamCut
from routewright.reply import Event
from routewright.simulator import PROFILES, FaultPlan, FaultRates, Simulator
from routewright.simulator.openai_responses import THOUGHT
from routewright.testing import FakeClock
from routewright.usage import Usage

WEATHER = Tool("get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
YES_OR_NO = {"type": "object", "properties": {"is_so": {"type": "boolean"}}, "required": ["is_so"]}

every_dialect = pytest.mark.parametrize(
    "dialect", [OpenAIChat(), OpenAIResponses(), AnthropicMessages(), Gemini()], ids=lambda dialect: dialect.name
)


def answer(dialect: Upstream, asked: Call, simulator: Simulator, upstream_model: str = "gpt-5") -> list[Event]:
    """The events of the answer; raises the error that the dialect reads from a refusal, or StreamCut."""
    place = deployment(f"simulator/{upstream_model}", dialect=dialect.name, base_url="simulator:")
    tried = attempt(asked, model(upstream_model, place, capabilities=frozenset(Capability)))

    async def main() -> list[Event]:
        response = await simulator.send(dialect.write_request(tried), connect_timeout_s=1.0)
        pieces = []
        while data := await response.next():
            pieces.append(data)
        if response.status >= 300:
            raise dialect.read_error(response.status, response.headers, b"".join(pieces), now_s=0.0)
        decoder = dialect.decoder(tried)
        events = [event for piece in pieces for event in decoder.feed(piece)]
        return [*events, *decoder.end()]

    return FakeClock().run(main())


def quick(**rates: float) -> Simulator:
    return Simulator(time_scale=0, faults=FaultPlan(rates=FaultRates(**rates), retry_after_s=7))


def usage(events: list[Event]) -> Usage:
    return [event.usage for event in events if event.usage is not None][-1]


def arguments(events: list[Event]) -> str:
    return "".join(delta.arguments for event in events for delta in event.tool_calls)


@every_dialect
def test_streamed_and_whole_answers_decode_alike(dialect: Upstream) -> None:
    whole = answer(dialect, call(), quick())
    streamed = answer(dialect, call(stream=True), quick())
    assert "".join(event.text for event in streamed) == "".join(event.text for event in whole)
    assert usage(streamed) == usage(whole)
    assert usage(whole).input > 0
    assert usage(whole).output > 10
    assert [event.finish for event in streamed if event.finish] == [event.finish for event in whole if event.finish]
    assert {event.model for event in streamed if event.model} == {"gpt-5"}


@every_dialect
def test_forced_tool_calls_decode_alike(dialect: Upstream) -> None:
    asked = call(tools=(WEATHER,), tool_choice=ToolChoice("required", "get_weather"))
    streamed = call(tools=(WEATHER,), tool_choice=ToolChoice("required", "get_weather"), stream=True)
    events = answer(dialect, streamed, quick())
    assert arguments(events) == arguments(answer(dialect, asked, quick())) != ""
    assert [event.finish for event in events if event.finish] == ["tool_calls"]


@every_dialect
def test_the_schema_reaches_the_provider(dialect: Upstream) -> None:
    form = OutputFormat("json_schema", "answer", YES_OR_NO)
    events = answer(dialect, call(output_format=form), quick())
    assert "".join(event.text for event in events) in ('{"is_so":true}', '{"is_so":false}')


@every_dialect
def test_the_greatest_length_reaches_the_provider(dialect: Upstream) -> None:
    cut = answer(dialect, call(max_output_tokens=4), quick())
    assert (cut[-1].finish, usage(cut).output) == ("length", 4)


@pytest.mark.parametrize("dialect", [OpenAIChat(), AnthropicMessages(), Gemini()], ids=lambda dialect: dialect.name)
def test_stop_reaches_the_provider_that_knows_it(dialect: Upstream) -> None:
    [stopped] = answer(dialect, call(stop=("]",)), quick())
    assert (stopped.finish, stopped.text) == ("stop", "[simulated gpt-5")


@pytest.mark.parametrize("is_streamed", [True, False])
def test_thoughts_come_with_a_seal_that_only_their_maker_takes_back(is_streamed: bool) -> None:
    dialect, seals = OpenAIResponses(), {}
    events = answer(dialect, call(reasoning_effort="low", stream=is_streamed), quick())
    assert "".join(event.reasoning for event in events) == THOUGHT
    [seals["own"]] = [event.seal for event in events if event.seal]
    seals["other"] = "made by somebody else"
    asked = {
        whose: call(messages=(message("Hi"), Message("assistant", (Thinking("", seal, dialect.name),)), message("So?")))
        for whose, seal in seals.items()
    }
    assert answer(dialect, asked["own"], quick())
    with pytest.raises(ProviderRejected, match="could not be verified"):
        answer(dialect, asked["other"], quick())


def test_gemini_takes_calls_back_with_their_signature_only() -> None:
    dialect, wish = Gemini(), ToolChoice("required", "get_weather")
    simulator = Simulator(time_scale=0, models={"gemini-4": PROFILES["gpt-5"]})
    events = answer(dialect, call(tools=(WEATHER,), tool_choice=wish), simulator, "gemini-4")
    [made] = [delta for event in events for delta in event.tool_calls]
    [seal] = [event.seal for event in events if event.seal]
    called = ToolCall(made.id, made.name, made.arguments)

    def asked(seal: str) -> Call:
        said = Message("assistant", (Thinking("", seal, dialect.name), called))
        results = Message("tool", (ToolResult(made.id, "sunny"),))
        return call(messages=(message("Hi"), said, results), tools=(WEATHER,))

    assert answer(dialect, asked(seal), simulator, "gemini-4")
    with pytest.raises(ProviderRejected, match="thought_signature"):
        answer(dialect, asked("call0:forged"), simulator, "gemini-4")


@every_dialect
@pytest.mark.parametrize(
    ("rates", "error", "pause_s"),
    [
        ({"rate_limited": 1.0}, ProviderOverloaded, 7.0),
        ({"failed": 1.0}, ProviderFailed, None),
        ({"overloaded": 1.0}, ProviderFailed, None),
    ],
)
def test_planned_errors_are_read_for_what_they_are(
    dialect: Upstream, rates: dict[str, float], error: type[ProviderError], pause_s: float | None
) -> None:
    with pytest.raises(error) as caught:
        answer(dialect, call(), quick(**rates))
    assert caught.value.retry_after_s == pause_s


@every_dialect
def test_an_unknown_model_is_a_rejection(dialect: Upstream) -> None:
    with pytest.raises(ProviderRejected):
        answer(dialect, call(), quick(), upstream_model="gpt-99")


@every_dialect
@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_cut_answer_is_cut(dialect: Upstream, is_streamed: bool) -> None:
    with pytest.raises(StreamCut):
        answer(dialect, call(stream=is_streamed), quick(cut=1.0))


@pytest.mark.parametrize(
    ("asked", "served"), [({}, ""), ({"service_tier": "auto"}, ""), ({"service_tier": "flex"}, "flex")]
)
@pytest.mark.parametrize("is_streamed", [True, False])
def test_the_tier_that_is_asked_for_is_the_one_that_serves(
    asked: dict[str, str], served: str, is_streamed: bool
) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hello"}], "stream": is_streamed, **asked}
    read = OpenAIChat().read(msgspec.json.encode(body), request_id="request-1", options=Options())
    assert {event.service_tier for event in answer(OpenAIChat(), read, quick())} == {served}
