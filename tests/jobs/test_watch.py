import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from builders import message
from entries import absorb, outcome, recorded, settled
from routewright.alerts import News
from routewright.call import Call
from routewright.decision.drift import MONTH_NS, Quantity, Rules
from routewright.errors import StoreUnavailable
from routewright.ids import uuid7
from routewright.jobs import watch as watching
from routewright.jobs.watch import Watch, rules_of
from routewright.ledger.drift import Key
from routewright.ledger.ledger import LedgerEvent
from routewright.proofs.drift import REFERENCE, SMALLEST_CHANGE
from routewright.runtime import Runtime
from routewright.settings.schema import DriftSettings
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator

SETTINGS = """
[providers.acme]
base_url = "simulator:"
[models.cheap]
tier = "standard"
deployments = ["acme/cheap"]
context_window = 100000
price = { input = "1", output = "2" }
[models.dear]
tier = "standard"
deployments = ["acme/dear"]
context_window = 100000
price = { input = "3", output = "6" }
[drift]
streams = ["success"]
reference = 200
take_out_of_auto = true
"""
FEEDBACK = Key("cheap", Quantity.SUCCESS, "feedback")
STEP_NS = MONTH_NS // 10_000


class Site:
    """A ledger into which outcomes come, and processes that watch it."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.told: list[News] = []
        runtime.alerts.tell_also = self.told.append  # type: ignore[method-assign, assignment]
        self._numbers = itertools.count()
        self._random = Random(1)

    def outcomes(self, bad: float, count: int) -> None:
        """So many answers of `cheap`, of which a share turned out badly."""
        events: list[LedgerEvent] = []
        for number in itertools.islice(self._numbers, count):
            score = float(self._random.random() >= bad)
            events += [
                recorded(f"r{number}", model="cheap"),
                outcome(number, request_id=f"r{number}", at_ns=number * STEP_NS, score=score),
            ]
        absorb(self.runtime.store, *events)

    def reason(self) -> tuple[str, str]:
        """Which model `auto` means, and what is said of `cheap`."""
        call = Call(id=uuid7(1, Random()), dialect="library", model="auto", messages=(message("Hello"),), body={})
        route = self.runtime.engine.route(call)
        return route.chosen.model, next(each.reason for each in route.candidates if each.model == "cheap")


@pytest.fixture
async def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(watching, "BREATH_S", 0.0)
    (tmp_path / "routewright.toml").write_text(SETTINGS)
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    yield Site(runtime)
    await runtime.close()


async def test_a_drop_is_told_and_takes_the_model_out_of_auto_until_it_is_over(site: Site) -> None:
    watch = Watch(site.runtime)
    site.outcomes(0.05, 600)
    watch.look()
    assert (site.told, watch.standing) == ([], {FEEDBACK: False})
    assert site.reason()[0] == "cheap"
    site.outcomes(0.4, 200)
    watch.look()
    (news,) = site.told
    assert news.words.startswith("drift: cheap: success rate (feedback) fell from 9")
    assert "at most 0.1 alarms in 30 days are expected to be false; see requests r" in news.words
    body = news.body
    assert (body["model"], body["stream"], body["state"], body["rule"]) == ("cheap", "success", "alarm", "sequential")
    assert body["since"] < body["time"]
    assert len(body["examples"]) == 5
    assert watch.standing == {FEEDBACK: True}
    chosen, why = site.reason()
    assert chosen == "dear"
    assert why.startswith("drift: success rate (feedback) fell from")
    site.outcomes(0.05, 400)
    watch.look()
    assert [each.body["state"] for each in site.told] == ["alarm", "cleared"]
    assert site.told[1].words.endswith("it is as in the reference again")
    assert (watch.standing, site.reason()[0]) == ({FEEDBACK: False}, "cheap")


async def test_a_change_too_small_to_matter_is_told_to_nobody(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(site.runtime)
    site.outcomes(0.3, 600)
    site.outcomes(0.5, 400)
    with monkeypatch.context() as patch:
        patch.setattr(watching, "rules_of", lambda settings: Rules(reference=200, smallest_change=0.5))
        watch.look()
    (stream,) = watch._book.streams().values()
    assert stream.evidence >= 1
    assert (site.told, watch.standing, site.runtime.engine.withdrawn) == ([], {FEEDBACK: False}, {})
    site.outcomes(0.5, 1)
    watch.look()
    assert [each.body["state"] for each in site.told] == ["alarm"], "the evidence was kept"


def test_points_and_per_cent_are_shares_inside_and_the_proofs_have_the_defaults() -> None:
    assert rules_of(DriftSettings()) == Rules(reference=REFERENCE, smallest_change=SMALLEST_CHANGE)
    assert rules_of(DriftSettings(smallest_change=0, rule="classic")) == Rules(reference=2000, deviation=0.05)


async def test_a_restart_neither_forgets_nor_counts_twice(site: Site) -> None:
    site.outcomes(0.05, 300)
    Watch(site.runtime).look()
    Watch(site.runtime).look()
    site.outcomes(0.05, 100)
    Watch(site.runtime).look()
    (stream,) = Watch(site.runtime)._book.streams().values()
    assert (stream.reference.n, stream.counted) == (200, 400)


async def test_another_process_sees_the_alarm_and_tells_nothing(site: Site) -> None:
    site.outcomes(0.05, 400)
    site.outcomes(0.5, 100)
    Watch(site.runtime).look()
    assert len(site.told) == 1
    site.runtime.engine.withdrawn = {}
    other = Watch(site.runtime)
    other.look()
    assert (len(site.told), other.standing) == (1, {FEEDBACK: True})
    assert site.reason()[0] == "dear"


async def test_many_rows_are_taken_in_by_pages(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAGE", 30)
    monkeypatch.setattr(watching, "MOST_PAGES", 4)
    site.outcomes(0.0, 200)
    watch = Watch(site.runtime)
    watch.look()
    assert [stream.counted for stream in watch._book.streams().values()] == [120]
    watch.look()
    assert [stream.counted for stream in watch._book.streams().values()] == [200]


async def test_beyond_the_most_streams_values_are_passed_over(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "MOST_STREAMS", 1)
    absorb(site.runtime.store, recorded("r1"), *(outcome(each, model=f"m{each}") for each in range(3)))
    watch = Watch(site.runtime)
    watch.look()
    assert list(watch.standing) == [Key("m0", Quantity.SUCCESS, "feedback")]


async def test_only_what_the_settings_name_is_watched(site: Site) -> None:
    absorb(site.runtime.store, settled("a1"))
    watch = Watch(site.runtime)
    watch.look()
    assert watch.standing == {}


async def test_a_store_that_does_not_answer_is_looked_at_again_later(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(site.runtime)

    def fail(*, for_s: float) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(watch._book, "take", fail)
        watch.look()
    assert "drift is not looked at now: away" in caplog.text
    site.outcomes(0.0, 10)
    watch.look()
    assert watch.standing == {FEEDBACK: False}


async def test_after_the_stop_nothing_is_taken_in(site: Site) -> None:
    watch = Watch(site.runtime)
    watch.stop()
    site.outcomes(0.0, 10)
    watch.look()
    assert watch.standing == {}
