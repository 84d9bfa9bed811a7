"""`/v1/embeddings`: passed on to one of the deployments of the model that is named, held, priced, and tried again."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from lobby import GOOD, Answered, Lobby, lobby
from routewright.call import Cause
from routewright.errors import SettingsError
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import FaultPlan, FaultRates, Simulator
from routewright.simulator.openai_embeddings import USUAL_DIMENSIONS
from served import serving

VECTORS = """
[models.embed]
embedding = true
deployments = ["acme/embed", "beta/embed"]
price = { input = "1", output = "0" }
"""


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path, VECTORS) as opened:
        yield opened


async def embed(house: Lobby, given: Any = "Hello", **fields: Any) -> Answered:
    return await house.call("POST", "/v1/embeddings", {"model": "embed", "input": given, **fields})


@pytest.mark.parametrize(
    ("given", "vectors"),
    [("Hello", 1), (["Hello", "there"], 2), ([15496, 612], 1), ([[15496], [612], [1]], 3), (["x"] * 2_048, 2_048)],
)
async def test_every_text_gets_its_vector(house: Lobby, given: Any, vectors: int) -> None:
    answered = await embed(house, given)
    assert [each["index"] for each in answered.json["data"]] == list(range(vectors))
    assert {len(each["embedding"]) for each in answered.json["data"]} == {USUAL_DIMENSIONS}


async def test_what_it_cost_is_told_and_in_the_ledger(house: Lobby) -> None:
    answered = await embed(house, ["Hello there"] * 100)
    tokens = answered.json["usage"]["prompt_tokens"]
    assert tokens >= 200
    assert float(answered.headers["x-routewright-cost-usd"]) == pytest.approx(tokens / 1e6)
    assert answered.headers["x-routewright-model"] == "embed"
    assert sum(house.runtime.engine.tally.attempts.values()) == 1


async def test_dimensions_and_format_reach_the_provider_and_its_bytes_the_client(house: Lobby) -> None:
    first = await embed(house, dimensions=3, encoding_format="base64")
    assert len(first.json["data"][0]["embedding"]) == 16  # three float32 in base64
    assert (await embed(house, dimensions=3, encoding_format="base64")).body == first.body


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", 7]}, "input[1]"),
        ({"input": ["a"] * 2_049}, "input"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"dimensions": 0}, "dimensions"),
        ({"model": "auto"}, "model"),
        ({"model": "nothing"}, "model"),
        ({"model": "swift"}, "model"),  # which answers, and makes no vectors
    ],
)
async def test_a_mistake_names_its_field(house: Lobby, fields: dict[str, Any], param: str) -> None:
    body = {"model": "embed", "input": "Hi", **fields}
    answered = await house.call("POST", "/v1/embeddings", body)
    assert answered.status in (400, 404)
    assert answered.json["error"]["param"] == param
    assert house.runtime.engine.tally.attempts == {}


async def test_an_embedding_model_answers_no_question_named_or_not(house: Lobby) -> None:
    named = await house.ask(model="embed")
    assert (named.status, named.code) == (400, "no_eligible_model")
    for model in ("auto", "auto:cheap", "auto:best"):
        answered = await house.call("POST", "/v1/route", {**GOOD, "model": model})
        able = [each["model"] for each in answered.json["candidates"] if each["is_eligible"]]
        assert able
        assert "embed" not in able


async def test_a_deployment_that_fails_is_passed_over(tmp_path: Path) -> None:
    faults = FaultPlan(by_model={"broken": FaultRates(failed=1.0)})
    async with lobby(
        tmp_path, VECTORS.replace("acme/embed", "acme/broken"), simulator=Simulator(time_scale=0, faults=faults)
    ) as house:
        answers = [await embed(house, f"text {number}") for number in range(12)]
        assert {answered.status for answered in answers} == {200}
        attempts = house.runtime.engine.tally.attempts
    assert attempts["acme/broken", Cause.FIRST, "provider_failed"] > 0
    assert attempts["beta/embed", Cause.RETRY, "complete"] > 0


async def test_a_budget_without_room_sends_nothing(tmp_path: Path) -> None:
    budget = '[budgets.all]\nscope = "total"\nlimit_usd = 0.000001\nperiod = "day"\n'
    async with lobby(tmp_path, budget + VECTORS) as house:
        refused = await embed(house, "many words " * 100)
        assert (refused.status, refused.code) == (402, "budget_exceeded")
        assert house.runtime.engine.tally.attempts == {}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('fallbacks = ["other"]\n', "models.embed.fallbacks: vectors of another model cannot be compared"),
        ("", "models.embed.embedding: acme does not speak OpenAI's dialect"),
    ],
)
def test_what_an_embedding_model_cannot_have_is_a_mistake(tmp_path: Path, more: str, problem: str) -> None:
    dialect = "openai_chat" if more else "anthropic_messages"
    (tmp_path / "routewright.toml").write_text(
        f'[providers.acme]\nbase_url = "simulator:"\ndialect = "{dialect}"\n'
        '[models.other]\ntier = "bulk"\ncontext_window = 1000\ndeployments = ["acme/other"]\n'
        f'[models.embed]\nembedding = true\ndeployments = ["acme/embed"]\n{more}'
    )
    with pytest.raises(SettingsError, match=problem):
        Runtime.open(SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home: Path = tmp_path_factory.mktemp("home")
    providers = '[providers.acme]\nbase_url = "simulator:"\n[providers.beta]\nbase_url = "simulator:"\n'
    (home / "routewright.toml").write_text('[policy]\nclassifier = "heuristic"\n' + providers + VECTORS)
    with serving(home) as served:
        yield served.url


async def test_the_official_sdk_reads_them_in_both_forms(url: str) -> None:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client:
        packed = client.embeddings.create(model="embed", input="Hello", dimensions=8)  # the SDK asks for base64
        plain = client.embeddings.create(model="embed", input="Hello", dimensions=8, encoding_format="float")
        assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)
        assert packed.usage.prompt_tokens > 0
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="nothing", input="Hello")
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client_:
        assert len((await client_.embeddings.create(model="embed", input=["a", "b"])).data) == 2
