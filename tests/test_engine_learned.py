"""The learned decision in the whole engine: it learns from feedback, and no request fails where it is not whole."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
import pytest

from builders import message
from routewright.call import Call, Options
from routewright.classifiers import load_artefact
from routewright.ids import uuid7
from routewright.reply import Answer
from routewright.route import Candidate, Route
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator

SETTINGS = """
[providers.acme]
base_url = "simulator:"
[models.small]
tier = "bulk"
deployments = ["acme/small"]
context_window = 100_000
price = { input = "0.1", output = "0.4" }
[models.strong]
tier = "complex"
deployments = ["acme/strong"]
context_window = 100_000
price = { input = "5", output = "25" }
[policy]
"""
RENAME = "rename foo to bar in this file"
MAGIC_BYTES = 8


@pytest.fixture
def source(tmp_path: Path) -> SettingsSource:
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    return SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)


def opened(source: SettingsSource) -> Runtime:
    return Runtime.open(source, simulator=Simulator(time_scale=0))


@pytest.fixture
async def runtime(source: SettingsSource) -> AsyncIterator[Runtime]:
    runtime = opened(source)
    yield runtime
    await runtime.close()


def question(text: str = RENAME, **changes: object) -> Call:
    call = Call(id=uuid7(1, Random()), dialect="library", model="auto", messages=(message(text),), body={})
    return msgspec.structs.replace(call, **changes)


async def ask(runtime: Runtime) -> Answer:
    return await (await runtime.engine.ask(question())).read()


def seen(route: Route, name: str) -> Candidate:
    return next(candidate for candidate in route.candidates if candidate.model == name)


async def observe(runtime: Runtime, score: float, times: int) -> None:
    """So many answers of the small model, each with this feedback, learned from."""
    for _ in range(times):
        answer = await ask(runtime)
        runtime.engine.observe(answer.request_id, score, model="small")
    await runtime.flush()
    runtime.learn()


# ---- learning -------------------------------------------------------------------------------------------------------


async def test_feedback_moves_what_is_expected_of_a_model_and_is_counted(runtime: Runtime) -> None:
    before = runtime.engine.route(question())
    await observe(runtime, 0.0, 12)
    after = runtime.engine.route(question())
    was, now = seen(before, "small"), seen(after, "small")
    assert was.success is not None
    assert now.success is not None
    assert now.success < was.success - 0.1
    assert (was.outcomes, seen(after, "strong").outcomes) == (0, 0)
    assert 6 <= now.outcomes <= 12
    assert before.classifier != after.classifier


async def test_what_was_learned_survives_the_process(runtime: Runtime, source: SettingsSource) -> None:
    await observe(runtime, 0.0, 5)
    before = runtime.engine.route(question())
    await runtime.close()
    again = opened(source)
    assert again.engine.lessons is not None
    route = again.engine.route(question())
    assert (route.classifier, seen(route, "small")) == (before.classifier, seen(before, "small"))
    await again.close()


async def test_without_new_outcomes_nothing_is_learned_anew(runtime: Runtime) -> None:
    nothing = runtime.engine.lessons
    runtime.learn()
    assert runtime.engine.lessons is nothing
    await observe(runtime, 1.0, 1)
    one = runtime.engine.lessons
    runtime.learn()
    assert runtime.engine.lessons is one is not nothing


async def test_lessons_outlive_a_reload(runtime: Runtime, tmp_path: Path) -> None:
    await observe(runtime, 0.0, 5)
    before = seen(runtime.engine.route(question()), "small")
    (tmp_path / "routewright.toml").write_text(f"{SETTINGS}confidence_threshold = 0.1\n")
    runtime.reload()
    assert seen(runtime.engine.route(question()), "small") == before


async def test_lessons_that_were_damaged_are_learned_anew(runtime: Runtime, source: SettingsSource) -> None:
    await observe(runtime, 0.0, 5)
    before = seen(runtime.engine.route(question()), "small")
    await runtime.close()
    (runtime.engine.settings.ledger.path / "lessons").write_bytes(b"\x93")
    again = opened(source)
    assert seen(again.engine.route(question()), "small").outcomes == 0
    again.learn()
    assert seen(again.engine.route(question()), "small") == before
    await again.close()


async def test_lessons_that_cannot_be_kept_are_still_in_force(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    (runtime.engine.settings.ledger.path / "lessons").mkdir()
    with caplog.at_level(logging.WARNING):
        await observe(runtime, 0.0, 5)
    assert "nothing learned now" not in caplog.text
    assert "cannot be kept" in caplog.text
    assert seen(runtime.engine.route(question()), "small").outcomes > 0


# ---- an artefact that cannot be used --------------------------------------------------------------------------------


def another_version(whole: bytes) -> bytes:
    """What a later routewright might write."""
    return whole[: MAGIC_BYTES - 1] + b"2" + whole[MAGIC_BYTES:]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        (lambda whole: whole[:-1], "it is damaged"),
        (lambda whole: b"", "it is no artefact"),
        (another_version, "it was made for another version of routewright"),
    ],
    ids=["missing", "cut", "empty", "other version"],
)
async def test_where_the_artefact_cannot_be_used_the_heuristic_decides_and_no_request_fails(
    source: SettingsSource, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: object, told: str
) -> None:
    path = tmp_path / "own.artefact"
    if callable(spoil):
        path.write_bytes(spoil(shipped()))
    (tmp_path / "routewright.toml").write_text(f'{SETTINGS}artefact = "{path}"\n')
    with caplog.at_level(logging.ERROR):
        runtime = opened(source)
    assert told in caplog.text
    assert "requests are classified by the heuristic" in caplog.text
    answer = await ask(runtime)
    runtime.engine.observe(answer.request_id, 0.5)
    await runtime.flush()
    runtime.learn()
    assert (answer.route.classifier, answer.model) == ("heuristic@1", "small")
    assert answer.route.chosen.success is None
    assert runtime.engine.artefact_error is not None
    wished = runtime.engine.route(question(options=Options(min_quality=0.9)))
    assert wished.reason.endswith("no success is known to hold against the quality asked for")
    await runtime.close()


async def test_an_artefact_that_is_mended_is_taken_over_by_the_next_reload(
    source: SettingsSource, tmp_path: Path
) -> None:
    path = tmp_path / "own.artefact"
    path.write_bytes(b"")
    (tmp_path / "routewright.toml").write_text(f'{SETTINGS}artefact = "{path}"\n')
    runtime = opened(source)
    path.write_bytes(shipped())
    runtime.reload()
    assert runtime.engine.artefact_error is None
    assert runtime.engine.artefact is not None
    assert runtime.engine.artefact.version == load_artefact(None).version
    await runtime.close()


def shipped() -> bytes:
    """The artefact of the package."""
    from importlib.resources import files

    return (files("routewright") / "data" / "kinds.artefact").read_bytes()
