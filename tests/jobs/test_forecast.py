from pathlib import Path

import pytest
from msgspec.structs import replace

from desk import Desk
from routewright.cli.opening import deciding_only
from routewright.engine import Engine
from routewright.jobs import forecast as module
from routewright.jobs.forecast import Forecast, forecast
from routewright.jobs.inputs import Input
from routewright.jobs.lines import Asking
from routewright.jobs.planning import Spec
from routewright.settings_source import SettingsSource


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    desk = Desk(tmp_path)
    flags = {"policy.classifier": "heuristic"}
    source = SettingsSource(environ={"HOME": str(desk.home)}, cwd=desk.project, flags=flags, simulate=True)
    return deciding_only(*source.load())


def expected(engine: Engine, path: Path, text: str, spec: Spec = Spec()) -> Forecast:  # noqa: B008 - it is frozen
    path.write_text(text)
    return forecast(engine.route, engine.registry, Input(path, Asking(max_tokens=50)), spec, now_s=1_800_000_000)


def test_it_counts_and_prices_and_asks_nobody(engine: Engine, tmp_path: Path) -> None:
    found = expected(engine, tmp_path / "in.jsonl", '{"prompt": "Prove that 2 is prime"}\n' * 3 + "{oops\n{}\n")
    assert (found.records, found.malformed, found.sampled, found.refused) == (5, 2, 3, 0)
    assert sum(found.tiers.values()) == sum(found.models.values()) == 3
    assert 0 < found.low_nanousd < found.cost_nanousd < found.high_nanousd
    assert found.baseline_nanousd > 0
    assert found.baseline_model


def test_a_sample_stands_for_all(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join(f"Rename variable number {number % 10} in this code\n" for number in range(400))
    whole = expected(engine, tmp_path / "in.txt", text)
    monkeypatch.setattr(module, "SAMPLE", 40)
    sampled = expected(engine, tmp_path / "in.txt", text)
    assert (sampled.sampled, sampled.records) == (40, 400)
    assert sampled.low_nanousd < whole.cost_nanousd < sampled.high_nanousd
    assert replace(sampled, sampled=0) == replace(expected(engine, tmp_path / "in.txt", text), sampled=0), "no chance"


def test_duplicates_and_models_that_are_not_there_are_told(engine: Engine, tmp_path: Path) -> None:
    text = '{"prompt": "a"}\n{"prompt": "a"}\n{"prompt": "b", "model": "nobody"}\n'
    found = expected(engine, tmp_path / "in.jsonl", text, Spec(dedupe=True))
    assert (found.duplicates, found.refused, sum(found.models.values())) == (1, 1, 1)
