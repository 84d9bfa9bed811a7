"""The gateways that know what answers cost: what each runs with in the trials of money, and how its accounts are read.

Both have one budget, for one model, at the same prices. LiteLLM's is one of its router, in memory. What it takes an
answer to have cost is told by a callback, as its documentation has it.
"""

import json
import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from routewright.bench import programs
from routewright.bench.programs import Ready, Running
from routewright.proofs.contestants import LITELLM_DEPLOYMENT, serving
from routewright.proofs.shapes import ANTHROPIC, TABLE, litellm_price_map

CROWD = "spender_crowd"
BUDGET_FOR, MOST_TOKENS = 10, 200
INPUT_NANOUSD, OUTPUT_NANOUSD = 1_000, 2_000
LIMIT_NANOUSD = BUDGET_FOR * MOST_TOKENS * OUTPUT_NANOUSD // 2
"""For so many answers of the usual length."""
TROUBLED = {
    "spender_left": "clients that leave before an answer that the provider completes",
    "held_left": "clients that leave in the middle of a stream, billed whole",
    "status-500_failed": "a provider that answers 500",
    "cut_0": "streams that the provider cuts, billed whole",
}
MOCKED = ("ok", CROWD, *TROUBLED)
SHAPES = ("plain", "uneven", "cached", "written", "thinking", "sound", "claude")
"""Those of OpenAI and Anthropic that one price for each kind of token tells the cost of."""


class Providers(Struct, frozen=True):
    """Where the two are: the one with faults, and the one that reports usage in every shape."""

    mock_port: int
    shapes_port: int


class Entry(NamedTuple):
    """What a gateway has put down for an attempt."""

    nanousd: float
    is_estimated: bool


class Accounts(NamedTuple):
    """A gateway whose accounts can be read."""

    run: Callable[[Providers, Path, Path, Ready], AbstractContextManager[Running]]
    entries: Callable[[Path, str], list[Entry]]
    """Of a model, in order, by the folder it runs in."""
    holds: Callable[[Path], int | None]
    """Open now; None where none are made."""


# ---- ours -----------------------------------------------------------------------------------------------------------

OURS = """\
[providers.mock]
base_url = "http://127.0.0.1:{providers.mock_port}/v1"

[providers.shapes]
base_url = "http://127.0.0.1:{providers.shapes_port}/v1"

[providers.claude]
base_url = "http://127.0.0.1:{providers.shapes_port}/v1"
dialect = "anthropic_messages"

[budgets.crowd]
scope = "model:{crowd}"
period = "forever"
limit_usd = "{limit_usd}"
"""
OUR_MODEL = """
[models."{name}"]
tier = "standard"
context_window = 1_000_000
deployments = ["{provider}/{name}"]
price = {{ {price} }}
"""


def _ours(providers: Providers, _: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    models = [OUR_MODEL.format(name=name, provider="mock", price='input = "1", output = "2"') for name in MOCKED]
    for name in SHAPES:
        price = ", ".join(f'{kind} = "{usd}"' for kind, usd in TABLE[name].items())
        models.append(OUR_MODEL.format(name=name, provider="claude" if name in ANTHROPIC else "shapes", price=price))
    settings = OURS.format(providers=providers, crowd=CROWD, limit_usd=f"{LIMIT_NANOUSD / 10**9:f}")
    return serving(settings + "".join(models), folder, ready)


def _our_ledger(folder: Path) -> Path:
    return folder / "data" / "routewright" / "ledger.db"


def _our_entries(folder: Path, model: str) -> list[Entry]:
    closed = "SELECT cost_nanousd, is_estimated FROM events WHERE kind <> 'reserved' AND model = ? ORDER BY sequence"
    with closing(sqlite3.connect(_our_ledger(folder))) as connection:
        return [Entry(cost or 0, bool(estimated)) for cost, estimated in connection.execute(closed, (model,))]


def _our_holds(folder: Path) -> int:
    with closing(sqlite3.connect(_our_ledger(folder))) as connection:
        return int(connection.execute("SELECT count(*) FROM open_holds").fetchone()[0])


# ---- LiteLLM --------------------------------------------------------------------------------------------------------

COSTS = "costs.jsonl"
CALLBACK = """\
import json, pathlib
from litellm.integrations.custom_logger import CustomLogger

class Costs(CustomLogger):
    def note(self, told):
        with pathlib.Path(__file__).with_name("costs.jsonl").open("a") as file:
            file.write(json.dumps({"model": told["model_group"], "cost": told["response_cost"]}) + "\\n")

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.note(kwargs["standard_logging_object"])

    async def async_log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self.note(kwargs["standard_logging_object"])

costs = Costs()
"""
LITELLM_SETTINGS = """\
litellm_settings:
  callbacks: trial_costs.costs
"""
LITELLM_SHAPE = """\
  - model_name: {name}
    litellm_params: {{model: {provider}/{name}, api_base: "{place}", api_key: sk-none}}
    model_info: {prices}
"""
LITELLM_PRICED = """\
    model_info: {{input_cost_per_token: 0.000001, output_cost_per_token: 0.000002}}
"""
AS_IT_WAS_CALLED = "cache_read_input_token_cost_per_audio_token"
LITELLM_BUDGET = ", max_budget: {limit_usd}, budget_duration: 1d}}"


def _litellm(providers: Providers, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    mock = f"http://127.0.0.1:{providers.mock_port}/v1"
    config = ["model_list:\n"]
    for name in MOCKED:
        deployment = LITELLM_DEPLOYMENT.format(name=name, model=name, place=mock)
        if name == CROWD:
            deployment = deployment.replace("}", LITELLM_BUDGET.format(limit_usd=f"{LIMIT_NANOUSD / 10**9:f}"))
        config += [deployment, LITELLM_PRICED.format()]
    prices = litellm_price_map()
    prices["sound"]["cache_read_input_audio_token_cost"] = prices["sound"][AS_IT_WAS_CALLED]
    for name in SHAPES:
        provider = "anthropic" if name in ANTHROPIC else "openai"
        at = f"http://127.0.0.1:{providers.shapes_port}" + ("" if name in ANTHROPIC else "/v1")
        config.append(LITELLM_SHAPE.format(name=name, provider=provider, place=at, prices=json.dumps(prices[name])))
    files = {"litellm.yaml": "".join(config) + LITELLM_SETTINGS, "trial_costs.py": CALLBACK}
    return programs.litellm(files, place, folder, ready)


def _litellm_entries(folder: Path, model: str) -> list[Entry]:
    path = folder / COSTS
    lines = path.read_text().splitlines() if path.exists() else []
    found = [line for line in map(json.loads, lines) if line["model"] == model]
    return [Entry(float(Fraction(line["cost"] or 0) * 10**9), is_estimated=False) for line in found]


ACCOUNTS = {
    "routewright": Accounts(_ours, _our_entries, _our_holds),
    "litellm": Accounts(_litellm, _litellm_entries, lambda _: None),
}
LITELLM_NOTE = (
    "in money run without a database, as the engine that its client for one needs comes from neither PyPI nor npm. So "
    "its virtual keys were not tried, nor the holds that it makes for their budgets (what was met with these: "
    "[#27639](https://github.com/BerriAI/litellm/issues/27639), "
    "[#40050](https://github.com/BerriAI/litellm/issues/40050)); the budget here is its router's, for a deployment, "
    "and makes none (as with those of sessions: [#34732](https://github.com/BerriAI/litellm/issues/34732))"
)
NONE = {
    "portkey": "has none: what npm has knows no budgets, and no prices",
    "switchyard": "has none: it counts tokens, and knows no prices and no budgets",
}
"""Why the others are not tried."""
