"""The figures of docs/decision.md: `python benchmarks/decision_quality.py DATA --into docs/decision.md`.

DATA is the folder of recorded outcomes. For what happens on a kind of task that is new, it takes artefacts that were
trained without a table (`routewright train … --leave-out TABLE -o ARTEFACT`) as `--without TABLE=ARTEFACT`. Everything
is drawn from fixed seeds; times are of this machine. Takes some minutes; prints Markdown, or puts it between the marks
of a page.
"""

import argparse
import math
from pathlib import Path

import msgspec

from routewright.call import Call, Options
from routewright.catalog.registry import Tier
from routewright.classifiers import load_artefact
from routewright.cli.demo import load_prompts
from routewright.cli.evaluating import Plan, Result, evaluate
from routewright.cli.opening import deciding_only
from routewright.cli.outcome_tables import read_tables
from routewright.decision.appraisal import Appraiser
from routewright.decision.evaluation import Measure
from routewright.dialects.openai_chat import OpenAIChat
from routewright.engine import Engine
from routewright.proofs.decision import times, weight
from routewright.proofs.part import Run
from routewright.settings_source import SettingsSource

START, END = "<!-- figures -->", "<!-- end of the figures -->"
DRAWS = 6
AGENT_TOOLS = 32


LINES: list[str] = []


def row(what: str, bar: str, measured: str, is_met: bool) -> None:
    """One line of the table of bars."""
    LINES.append(f"| {what} | {bar} | {measured} | {'met' if is_met else '**missed**'} |")
    print(LINES[-1], flush=True)


def told(measure: Measure, percent: bool = False) -> str:
    """A figure with its interval."""
    if percent:
        low, value, high = (
            f"{part:.0%}" if math.isfinite(part) else "never" for part in (measure.low, measure.value, measure.high)
        )
        return f"{value} ({low}–{high})"
    return f"{measure.value:.3f} ({measure.low:.3f}–{measure.high:.3f})"


def of(result: Result, router: str = "learned") -> tuple[Measure, Measure, Measure, Measure]:
    """APGR and CPT50 of the pair, cost to match and gain of all models."""
    found = next(each for each in result.routers if each.name == router)
    nothing = Measure(float("nan"), float("nan"), float("nan"))
    pair, curve = found.pair, found.curve
    return (
        pair.apgr if pair else nothing,
        pair.cpt50 if pair else nothing,
        curve.cost_to_match if curve else nothing,
        curve.gain_points if curve else nothing,
    )


def engine() -> Engine:
    """The default decision, away from anybody's settings."""
    settings, registry = SettingsSource(environ={"HOME": "/nowhere"}, cwd=Path("/"), simulate=True).load()
    return deciding_only(settings, registry)


def package() -> None:
    """What the package proves by itself: how long a decision takes, and what the artefact weighs."""
    for part in (times, weight):
        for figure in part(Run(), lambda share: None):
            row(figure.what, figure.bar, figure.measured, figure.has_passed)


def demo(deciding: Engine) -> None:
    """The demo's labelled prompts, which nothing was trained on."""
    dialect, right, sure, sure_and_right, agents, agents_right = OpenAIChat(), 0, 0, 0, 0, 0
    labelled = load_prompts()
    for prompt in labelled:
        body = msgspec.json.encode({"model": "auto", **prompt.request})
        call: Call = dialect.read(body, request_id="0", options=Options())
        verdict = deciding.route(call).verdict
        assert verdict is not None, "every prompt asks for auto"
        is_right = verdict.tier is prompt.tier
        right += is_right
        sure += verdict.confidence >= 0.7
        sure_and_right += is_right and verdict.confidence >= 0.7
        if len(call.tools) >= AGENT_TOOLS and prompt.tier is Tier.BULK:
            agents += 1
            agents_right += is_right
    row("labelled prompts of the demo, tier right", "≥ 85 %", f"{right / len(labelled):.1%} of {len(labelled)}; "
        f"{sure_and_right / sure:.1%} of the {sure} with confidence ≥ 0.7", right / len(labelled) >= 0.85)  # fmt: skip
    row(f"agents with {AGENT_TOOLS} tools and routine work reach bulk", "reached", f"{agents_right} of {agents}",
        agents_right > 0)  # fmt: skip


def quality(data: Path) -> None:
    """What is learned from each table's train rows, on its dev rows."""
    appraiser = Appraiser(load_artefact(None))
    tables = {table.name: table for table in read_tables(data)}
    mmlu = evaluate(tables["routellm_mmlu"], appraiser, appraiser.needs, Plan(paraphrases=1))
    apgr, cpt, _, _ = of(mmlu)
    row("`routellm_mmlu`, its train rows learned: APGR", "≥ 0.68", told(apgr), apgr.value >= 0.68)
    row("the same: CPT50", "≤ 27 %", told(cpt, percent=True), cpt.value <= 0.27)
    some = evaluate(tables["routellm_mmlu"], appraiser, appraiser.needs, Plan(outcomes=1_500, draws=DRAWS))
    row("the same with 1,500 labels: APGR", "≥ 0.62", told(of(some)[0]), of(some)[0].value >= 0.62)
    pro = evaluate(tables["mmlu_pro"], appraiser, appraiser.needs, Plan(paraphrases=1))
    cost = of(pro)[2]
    row("`mmlu_pro`, 12 models: cost to match the best", "≤ 60 %", told(cost, percent=True), cost.value <= 0.6)
    mixed = evaluate(tables["ulab_mixed"], appraiser, appraiser.needs, Plan(paraphrases=1))
    _, _, cost, gain = of(mixed)
    row("`ulab_mixed`, 9 models: cost to match the best", "≤ 25 %", told(cost, percent=True), cost.value <= 0.25)
    row("the same: best accuracy over the best model, points", "≥ +3.5", told(gain), gain.value >= 3.5)
    for result in (mmlu, pro, mixed):
        assert result.calibration is not None, "every row has scores"
        ece = result.calibration.ece
        row(f"`{result.table}`: ECE of P(good)", "≤ 0.03", told(ece), ece.value <= 0.03)
        for name, stable in (("pair", result.pair_stability), ("all models", result.choice_stability)):
            if stable is not None:
                row(f"`{result.table}`: same choice on a mechanical paraphrase, {name}", "≥ 90 %",
                    told(stable, percent=True), stable.value >= 0.9)  # fmt: skip


def new_kind(data: Path, name: str, artefact: Path, bar: float) -> None:
    """What own outcomes bring on a table that the artefact never saw."""
    appraiser = Appraiser(load_artefact(artefact))
    table = next(table for table in read_tables(data) if table.name == name)
    prior = of(evaluate(table, appraiser, appraiser.needs, Plan()), "score")[0]
    few = of(evaluate(table, appraiser, appraiser.needs, Plan(outcomes=50, draws=DRAWS)))[0]
    row(f"`{name}` never seen, 50 outcomes: APGR", f"≥ the prior's {prior.value:.3f}", told(few),
        few.value >= prior.value)  # fmt: skip
    many = evaluate(table, appraiser, appraiser.needs, Plan(outcomes=500, draws=DRAWS))
    row(f"`{name}` never seen, 500 outcomes: APGR", f"≥ {bar:.2f}", told(of(many)[0]), of(many)[0].value >= bar)
    assert many.calibration is not None, "every row has scores"
    row("the same: ECE of P(good)", "≤ 0.06", told(many.calibration.ece), many.calibration.ece.value <= 0.06)


BARS = {"routellm_mmlu": 0.60, "ulab_mixed": 0.72}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--without", action="append", default=[], metavar="TABLE=ARTEFACT")
    parser.add_argument("--into", type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    deciding = engine()
    package()
    demo(deciding)
    quality(arguments.data)
    for pair in arguments.without:
        name, _, path = pair.partition("=")
        new_kind(arguments.data, name, Path(path), BARS[name])
    if arguments.into:
        before, _, rest = arguments.into.read_text().partition(START)
        table = "\n".join(["| what | bar | measured (95 % interval) | |", "|---|---|---|---|", *LINES])
        arguments.into.write_text(f"{before}{START}\n{table}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
