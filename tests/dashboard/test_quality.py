"""The pages of quality over HTTP: what the ledger says of how answers turned out."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from drifting import keep, too_small_to_matter
from entries import CLASSIFIED, recorded
from forms import FORM
from lobby import OPERATOR_KEY, Lobby, lobby
from routewright.decision.drift import Quantity
from routewright.ledger.drift import Key
from routewright.ledger.ledger import ComparisonRecorded, LedgerEvent, OutcomeRecorded, encode_event
from routewright.policies.overlay import read_overlay
from routewright.reports.backtests import BacktestLine, Estimate, KeptBacktest, keep_backtest

HOSTILE = "=1+1<img src=x onerror=alert(1)>\x1b[2J"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lobby]:
    async with lobby(tmp_path) as opened:
        yield opened


def record(house: Lobby, *events: LedgerEvent) -> None:
    house.runtime.store.absorb([encode_event(event) for event in events])


def judged(number: int, claimed: float, score: float, **changes: object) -> tuple[LedgerEvent, LedgerEvent]:
    """A request whose model was given this chance, and how it turned out."""
    candidate = replace(CLASSIFIED.candidates[0], success=claimed)
    fields: dict[str, object] = {"source": "feedback", **changes}
    return (
        recorded(f"r{number}", route=replace(CLASSIFIED, written=(candidate,))),
        OutcomeRecorded(outcome_id=f"o{number}", request_id=f"r{number}", at_ns=number, score=score, **fields),  # type: ignore[arg-type]
    )


def comparison(number: int, result: str, **changes: object) -> ComparisonRecorded:
    plain: dict[str, object] = {
        "request_id": f"r{number}",
        "at_ns": number,
        "model": "strong",
        "shadow": "swift",
        "decided_by": "judge",
        "cost_nanousd": 1_000_000,
        "shadow_cost_nanousd": 10_000,
        "total_ms": 900,
        "shadow_ms": 300,
    }
    return ComparisonRecorded(comparison_id=f"c{number}", result=result, **(plain | changes))  # type: ignore[arg-type]


# ---- success ----------------------------------------------------------------------------------------------------


async def test_claims_are_held_against_what_came(house: Lobby) -> None:
    right = [judged(number, 0.9, float(number % 10 != 0)) for number in range(60)]
    wrong = [judged(100 + number, 0.6, 0.0) for number in range(20)]
    record(house, *(event for pair in [*right, *wrong] for event in pair))
    tables = (await house.call("GET", "/ui/quality.json")).json["tables"]
    lowest, *others = tables["calibration"]
    assert (lowest["claimed"], lowest["came"], lowest["within"]) == (600, 0, "too high")
    assert sum(band["answers"] for band in tables["calibration"]) == 80
    assert others[-1]["within"] == "as came"
    [told] = tables["success"]
    assert (told["model"], told["task"], told["outcomes"], told["success"]) == ("small", "translation", 80, 675)
    page = (await house.call("GET", "/ui/quality")).body.decode()
    assert "In <strong>" in page
    assert 'class="ideal"' in page


async def test_of_one_answer_the_most_trusted_opinion_counts_and_by_source_each(house: Lobby) -> None:
    request, opinion = judged(1, 0.9, 1.0)
    check = OutcomeRecorded(outcome_id="c1", request_id="r1", at_ns=2, score=0.0, source="check", check="json")
    record(house, request, opinion, check)
    [told] = (await house.call("GET", "/ui/quality.json?by=model&table=success")).json["tables"]["success"]
    assert (told["outcomes"], told["success"]) == (1, 1000)
    told = (await house.call("GET", "/ui/quality.json?by=source&table=success")).json["tables"]["success"]
    assert {row["source"]: row["success"] for row in told} == {"feedback": 1000, "check": 0}


async def test_a_filter_of_models_is_in_the_address_and_leaves_the_others_out(house: Lobby) -> None:
    record(house, *judged(1, 0.9, 1.0), *judged(2, 0.9, 0.0, model="other"))
    page = (await house.call("GET", "/ui/quality?by=model&model=other")).body.decode()
    assert "<option selected>other</option>" in page
    [told] = (await house.call("GET", "/ui/quality.json?by=model&model=other")).json["tables"]["success"]
    assert (told["model"], told["success"]) == ("other", 0)


async def test_only_so_many_of_the_latest_outcomes_are_looked_at(house: Lobby, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routewright.dashboard.quality.MOST_OUTCOMES", 3)
    record(house, *(event for number in range(6) for event in judged(number, 0.5, float(number > 2))))
    [told] = (await house.call("GET", "/ui/quality.json?by=model")).json["tables"]["success"]
    assert (told["outcomes"], told["success"]) == (3, 1000)
    assert "latest 3 outcomes" in (await house.call("GET", "/ui/quality")).body.decode()


# ---- shadows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("show", "wanted"),
    [("all", {"r1", "r2", "r3", "r4", "r5"}), ("wins", {"r1"}), ("losses", {"r2"}), ("different", {"r1", "r2", "r3"})],
)
async def test_comparisons_are_shown_by_what_came_of_them(house: Lobby, show: str, wanted: set[str]) -> None:
    results = ["win", "loss", "different", "failed"]
    record(house, *(comparison(number, result) for number, result in enumerate(results, 1)))
    record(house, comparison(5, "tie", is_same=True, decided_by="agreement"))
    tables = (await house.call("GET", f"/ui/shadows.json?show={show}")).json["tables"]
    assert {row["request"] for row in tables["comparisons"]} == wanted
    [standing] = tables["standings"]
    assert (standing["compared"], standing["same"], standing["failed"]) == (5, 1, 1)


async def test_x11_answers_of_models_are_text_whatever_they_say(house: Lobby) -> None:
    record(house, comparison(1, "win", answer=HOSTILE, shadow_answer=HOSTILE, shadow=HOSTILE))
    page = (await house.call("GET", "/ui/shadows")).body.decode()
    assert "<img" not in page
    assert "\x1b" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;") > 3
    line = (await house.call("GET", "/ui/shadows.csv")).body.decode().splitlines()[1]
    assert not line.startswith("=")


# ---- drift, backtests -------------------------------------------------------------------------------------------


async def test_evidence_for_a_change_too_small_to_matter_is_a_stable_stream(house: Lobby) -> None:
    stream = too_small_to_matter()
    keep(house.runtime.store.database, {Key("small", Quantity.REFUSALS, ""): stream})
    [told] = (await house.call("GET", "/ui/drift.json?state=stable")).json["tables"]["streams"]
    assert (told["state"], told["evidence"], told["examples"]) == ("stable", f"{stream.evidence:.2g}", None)
    assert "Not as it was" not in (await house.call("GET", "/ui/drift")).body.decode()


async def test_what_is_not_there_says_how_it_comes_to_be(house: Lobby) -> None:
    for page, told in (
        ("quality", "Nobody has said"),
        ("drift", "Nothing is watched yet"),
        ("shadows", "No model was asked beside another"),
        ("backtests", "routewright backtest"),
        ("keys", "There is no key"),
        ("batches", "There is no batch"),
    ):
        answered = await house.call("GET", f"/ui/{page}")
        assert (answered.status, told in answered.body.decode()) == (200, True), page


async def test_the_last_backtest_that_was_kept_is_a_curve(house: Lobby) -> None:
    lines = [
        BacktestLine(
            name=name,
            policy="p",
            requests=400,
            cost_nanousd=Estimate(cost, cost / 2, cost * 2),
            quality=Estimate(quality, quality - 0.05, quality + 0.05),
        )
        for name, cost, quality in (("as it was", 5e6, 0.9), (HOSTILE, 2e6, 0.85))
    ]
    kept = KeptBacktest(at_ns=house.clock.time_ns(), decisions=420, lines=tuple(lines))
    keep_backtest(house.runtime.engine.settings.ledger.path, kept)
    page = (await house.call("GET", "/ui/backtests")).body.decode()
    assert "420 decisions" in page
    assert page.count('class="reach"') == 2
    assert "<img" not in page
    told = (await house.call("GET", "/ui/backtests.json")).json["tables"]["policies"]
    assert [(row["cost_usd"], row["quality"]) for row in told] == [("0.005000000", 900), ("0.002000000", 850)]


async def test_a_backtest_that_cannot_be_read_is_none(house: Lobby) -> None:
    (house.runtime.engine.settings.ledger.path / "backtest.json").write_text('{"at_ns": "soon"}')
    assert "No backtest was kept" in (await house.call("GET", "/ui/backtests")).body.decode()


# ---- policies ---------------------------------------------------------------------------------------------------


async def test_versions_are_compared_line_by_line_and_rolled_back_by_an_administrator(tmp_path: Path) -> None:
    async with lobby(tmp_path, '[server]\napi_key = "env:DOOR"\n', {"DOOR": OPERATOR_KEY}) as house:
        store = house.runtime.policies.store
        for floor in (0.7, 0.8):
            overlay = read_overlay({"min_quality": floor}, name="trial", shown_as="the test")
            store.apply("trial", overlay, author="the test", share=5)
        house.runtime.policies.refresh()
        page = (await house.call("GET", "/ui/policies?policy=trial&from=1&to=2", key=OPERATOR_KEY)).body.decode()
        assert "<del>-   &#34;min_quality&#34;: 0.7</del>" in page
        assert "<ins>+   &#34;min_quality&#34;: 0.8</ins>" in page
        reader = house.key("eyes", roles=["read"]).text.reveal()
        body = b"policy=trial&to=1&reason=worse"
        assert (await house.call("POST", "/ui/policies/rollback", body, key=reader, headers=FORM)).status == 403
        assert "Roll back" not in (await house.call("GET", "/ui/policies?policy=trial", key=reader)).body.decode()
        done = await house.call("POST", "/ui/policies/rollback", body, key=OPERATOR_KEY, headers=FORM)
        assert (done.status, done.headers["location"]) == (303, "/ui/policies?policy=trial")
        assert store.in_force().standings["trial"].version.number == 1
        told = (await house.call("GET", "/ui/policies.json?policy=trial", key=OPERATOR_KEY)).json["tables"]
        assert [row["state"] for row in told["versions"]] == [None, "in force"]
        assert (told["changes"][0]["change"], told["changes"][0]["reason"]) == ("rollback", "worse")


async def test_a_policy_or_version_that_is_not_there_is_a_404(house: Lobby) -> None:
    for query in ("policy=nobody", "to=9", "policy=%27%20OR%201"):
        assert (await house.call("GET", f"/ui/policies?{query}")).status == 404, query
