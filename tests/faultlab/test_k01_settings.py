"""K01–K06: settings that are wrong, absurd, or change under load."""

import asyncio
import gc
import json
import os
import time
import tomllib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from faulty_upstream import CHUNKED, STREAM, Exchange, chunk
from lab import Lab, lab, model, open_files

from routewright.catalog.registry import MAX_ATTEMPTS
from routewright.errors import SettingsError
from routewright.layers.fallback import Fallback
from routewright.settings_source import SettingsSource
from terminal import Terminal

MIB = 1024 * 1024
RELOADS = int(os.environ.get("ROUTEWRIGHT_RELOADS", "50"))
"""1,000 in the proof run."""


class Written:
    """The settings file of a lab, as it was good."""

    def __init__(self, it: Lab, home: Path) -> None:
        self._it = it
        self._path = home / "routewright.toml"
        self.good = self._path.read_text()

    def becomes(self, text: str | None) -> None:
        """Save another one, or none, and have it noticed."""
        if text is None:
            self._path.unlink()
        else:
            self._path.write_text(text)
        self._it.runtime.reload()


# ---- what cannot be meant --------------------------------------------------------------------------------------------

WRONG: dict[str, Callable[[str], str | None]] = {
    "no TOML": lambda good: good + "\n[policy\n",
    "a wrong type": lambda good: good.replace("deadline_ms = 5000", 'deadline_ms = "soon"'),
    "an unknown key": lambda good: good.replace("deadline_ms", "deadlne_ms"),
    "an unknown provider": lambda good: good.replace('"mock/swift"', '"mok/swift"'),
    "a key that stands twice": lambda good: good + "\n[providers.mock]\n",
    "half of it": lambda good: good[: good.index("deployments") + 20],
    "nothing, as while it is saved": lambda good: "",
    "no file": lambda good: None,
}


@pytest.mark.parametrize("name", WRONG)
async def test_k01_wrong_settings_change_nothing_and_are_told_everywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async with lab(tmp_path, model("swift")) as it:
        written, before = Written(it, tmp_path), it.runtime.engine.registry
        written.becomes(WRONG[name](written.good))
        assert it.runtime.engine.registry is before
        assert (await it.ask("swift")).is_complete
        assert "the last good ones stay in force" in caplog.text
        assert json.loads(await it.get("/healthz"))["settings"] == "newer ones have a mistake: see the log"
        assert b"\nroutewright_settings_refused 1\n" in await it.get("/metrics")
        written.becomes(written.good)
        assert json.loads(await it.get("/healthz"))["settings"] == "in force"
        assert b"\nroutewright_settings_refused 0\n" in await it.get("/metrics")
        await it.audit()


def test_k01_only_the_first_start_ends_with_78(tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text("[polcy]\n")
    started = Terminal(tmp_path).spawn("serve", "--simulate", "--port", "0")
    assert started.returncode == 78
    assert 'unknown key "polcy" at the top (routewright.toml:1:2)' in started.stderr


# ---- what takes for ever ---------------------------------------------------------------------------------------------

ENDLESS = {
    "50 MB": ("#" * (50 * MIB), "over 1 MiB"),
    "arrays in arrays": ("a = " + "[" * (MIB - 4), "nested too deeply"),
    "tables in tables": ("a = " + "{a=" * (MIB // 3 - 4), "nested too deeply"),
    "a key of half a million parts": ("a" + ".a" * (MIB // 2 - 8) + " = 1", "nested too deeply"),
    "a quoted one": ('[a."b c"' + " . 'a'" * (MIB // 6 - 8) + "]", "nested too deeply"),
    "a key twice": (
        '[policy]\nclassifier = "a"\nclassifier = "b"\n',
        "routewright.toml:3:17: this key or table stands",
    ),
    "a table twice": ("[policy]\n[policy]\n", "this key or table stands twice"),
    "a number of a million digits": ("[server]\nport = " + "1" * (MIB - 20), "is not TOML"),
}


@pytest.fixture(scope="module")
def reading_s() -> float:
    """Seconds of work to read half as much as is read at all, by the same reader, of what is as it should be."""
    text = "a = [" + "1," * (MIB // 4) + "]"
    began = time.process_time()
    tomllib.loads(text)
    return time.process_time() - began


@pytest.mark.parametrize("name", ENDLESS)
def test_k02_what_would_take_for_ever_to_read_is_refused_at_once(tmp_path: Path, name: str, reading_s: float) -> None:
    text, told = ENDLESS[name]
    seconds, message = refused(tmp_path, text)
    assert told in message
    assert seconds < reading_s, "a tenth of a second, where nothing else runs, and reading takes four"


MANY = {
    "unknown keys": "".join(f"k{number} = 1\n" for number in range(10_000)),
    "models nowhere": "".join(f'[models.m{n}]\ntier = "bulk"\ndeployments = ["a/b"]\n' for n in range(4_000)),
    "aliases of nothing": "[aliases]\n" + "".join(f'a{number} = "none"\n' for number in range(10_000)),
    "an alias of an alias": "[aliases]\n" + "".join(f'a{n} = "a{n + 1}"\n' for n in range(10_000)) + 'a10000 = "auto"',
}


@pytest.mark.parametrize("name", MANY)
def test_k02_of_tens_of_thousands_of_mistakes_some_are_told_soon(tmp_path: Path, name: str) -> None:
    seconds, message = refused(tmp_path, MANY[name])
    assert len(message) < 10_000
    assert seconds < 3, "it was minutes when each was compared with all names"


def refused(home: Path, text: str) -> tuple[float, str]:
    """How long it took to refuse these settings, in seconds of work, and the reason."""
    (home / "routewright.toml").write_text(text)
    began = time.process_time()
    with pytest.raises(SettingsError) as caught:
        SettingsSource(environ={"HOME": str(home)}, cwd=home).load()
    return time.process_time() - began, caught.value.message


# ---- what refers to itself -------------------------------------------------------------------------------------------


async def refuse(exchange: Exchange) -> None:
    await exchange.refuse(500)


async def test_k03_models_that_name_each_other_are_tried_once_each(tmp_path: Path) -> None:
    circle = [model("a", fallbacks=["b"]), model("b", fallbacks=["c"]), model("c", fallbacks=["a", "b"])]
    async with lab(tmp_path, *circle, faults=dict.fromkeys("abc", refuse), policy="max_retry_attempts = 0") as it:
        assert (await it.ask("a")).status == 502
        assert [arrival.model for arrival in it.upstream.arrivals] == ["a", "b", "c"]
        await it.audit(most_attempts=3)


async def test_k03_of_a_chain_of_fifty_eight_are_tried(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(50)]
    chain = [model(name, fallbacks=[after]) for name, after in pairwise(names)]
    is_down = False

    async def later_down(exchange: Exchange) -> None:
        await (exchange.refuse(500) if is_down else exchange.answer_well())

    faults = dict.fromkeys(names, later_down)
    async with lab(tmp_path, *chain, model(names[-1]), faults=faults, policy="max_retry_attempts = 2") as it:
        for name in names:  # to places that did well, further attempts are not few
            assert (await it.ask(name)).is_complete
        is_down, before = True, len(it.upstream.arrivals)
        assert (await it.ask("m0")).status == 502
        asked = [arrival.model for arrival in it.upstream.arrivals[before:]]
        assert sorted(set(asked)) == names[: len(set(asked))]
        assert len(asked) == MAX_ATTEMPTS
        await it.audit(most_attempts=50 + MAX_ATTEMPTS)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (model("a", fallbacks=["a"]), "models.a.fallbacks: a → a leads nowhere else"),
        (model("a") + '[aliases]\nx = "x"', "aliases.x: x → x goes in a circle"),
        (model("a") + '[aliases]\nx = "y"\ny = "z"\nz = "x"', "aliases.x: x → y → z → x goes in a circle"),
    ],
)
async def test_k03_what_leads_only_to_itself_is_refused_with_its_path(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, told: str
) -> None:
    async with lab(tmp_path, model("swift")) as it:
        written = Written(it, tmp_path)
        written.becomes(written.good + text)
        assert told in caplog.text
        assert (await it.ask("swift")).is_complete


# ---- what has no price -----------------------------------------------------------------------------------------------

PRICES = {
    "negative": '{ input = "-1", output = "2" }',
    "NaN": '{ input = nan, output = "2" }',
    "NaN in words": '{ input = "nan", output = "2" }',
    "infinite": '{ input = "1", output = inf }',
    "no number": '{ input = "1", output = "two" }',
    "a million times too high": '{ input = "1000000", output = "2000000" }',
    "one of two": '{ input = "1" }',
}


@pytest.mark.parametrize("name", PRICES)
async def test_k04_a_price_that_cannot_be_is_refused_and_the_old_one_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async with lab(tmp_path, model("swift")) as it:
        written, before = Written(it, tmp_path), it.runtime.engine.registry.models["swift"].price_version
        good = 'price = { input = "1", output = "2" }'
        written.becomes(written.good.replace(good, f"price = {PRICES[name]}", 1))
        assert "models.swift.price" in caplog.text
        assert it.runtime.engine.registry.models["swift"].price_version == before
        seen = await it.ask("swift")
        assert seen.is_complete
        await it.audit()


LIMITED = '[budgets.all]\nscope = "total"\nlimit_usd = 5\nperiod = "day"\n'


async def test_k04_without_a_price_nobody_with_a_budget_is_served_and_nothing_is_called(tmp_path: Path) -> None:
    async with lab(tmp_path, model("dear", price=False), settings=LIMITED) as it:
        seen = await it.ask("dear")
        assert (seen.status, seen.code) == (403, "unpriced_model")
        assert "[models.dear.price]" in seen.body.decode()
        assert (await it.ask("ok")).is_complete
        assert it.upstream.reached("dear") == 0
        await it.audit()


# ---- what has no key -------------------------------------------------------------------------------------------------

KEYLESS = '[providers.lost]\nbase_url = "http://127.0.0.1:{port}/v1"\napi_key = "env:NOT_THERE"\n'


async def test_k05_a_missing_key_leaves_one_provider_out_and_health_says_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both, alone = model("both", "lost/both", "mock/both"), model("alone", "lost/alone")
    async with lab(tmp_path, both, alone, settings=KEYLESS) as it:
        assert "lost is not called: the environment variable NOT_THERE is not set" in caplog.text
        assert json.loads(await it.get("/healthz"))["providers"] == "without their key, so not called: lost"
        assert (await it.ask("both")).is_complete
        refused_one = await it.ask("alone")
        assert refused_one.status in (400, 404, 503)
        assert {row.deployment for row in await it.audit()} == {"mock/both"}


def test_k05_where_no_provider_has_a_key_it_does_not_start_and_says_why(tmp_path: Path) -> None:
    text = KEYLESS.replace("{port}", "1") + model("alone", "lost/alone")
    _, message = refused(tmp_path, text)
    assert message.splitlines()[0] == "no model can be called"
    assert "lost: the environment variable NOT_THERE is not set" in message


# ---- what changes under load -----------------------------------------------------------------------------------------


async def test_k06_reloads_under_load_drop_nothing_and_leave_nothing(tmp_path: Path) -> None:
    async with lab(tmp_path, model("swift")) as it:
        written, is_over, answered = Written(it, tmp_path), asyncio.Event(), 0

        async def client(stream: bool) -> None:
            nonlocal answered
            while not is_over.is_set():
                assert (await it.ask("swift", stream=stream)).is_complete
                answered += 1

        versions = set()
        async with asyncio.TaskGroup() as clients:
            for number in range(4):
                clients.create_task(client(stream=number % 2 == 0))
            async with asyncio.timeout(5):
                while answered < 4:  # noqa: ASYNC110 all of them have begun
                    await asyncio.sleep(0)
            files, connections = open_files(), it.upstream.connections
            for number in range(RELOADS):
                (tmp_path / "routewright.toml").write_text(written.good.replace("4000", f"{4000 + number % 2}"))
                await asyncio.to_thread(it.runtime.reload)
                versions.add(it.runtime.engine.registry.version)
            is_over.set()
        assert len(versions) == 2, "each was another catalog"
        assert answered > RELOADS
        assert it.upstream.connections <= connections + 4, "the pool outlives the settings"
        assert open_files() <= files + 8
        gc.collect()
        assert sum(type(each) is Fallback for each in gc.get_objects()) == 1, "of all stacks, the one in force"
        await it.audit()


async def test_k06_what_is_in_flight_keeps_the_settings_it_started_with(tmp_path: Path) -> None:
    let_go = asyncio.Event()

    async def held(exchange: Exchange) -> None:
        exchange.charge()
        *words, usage, closing = exchange.speech.frames()
        await exchange.send(STREAM + CHUNKED, *map(chunk, words))
        await let_go.wait()
        await exchange.send(*map(chunk, [usage, closing, b""]))

    async with lab(tmp_path, model("held"), faults={"held": held}) as it:
        written, in_flight = Written(it, tmp_path), asyncio.create_task(it.ask("held"))
        async with asyncio.timeout(5):
            while not it.upstream.arrivals:  # noqa: ASYNC110 nobody tells
                await asyncio.sleep(0.001)
        written.becomes(written.good.replace(model("held"), ""))
        assert (await it.ask("held")).status == 404, "it is not in the settings any more"
        let_go.set()
        assert (await in_flight).is_complete
        await it.audit()
