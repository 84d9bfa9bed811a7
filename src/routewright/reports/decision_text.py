"""A decision in words: what was decided, on what, and every candidate with its reason."""

from routewright.route import Candidate, Route, Strategy
from routewright.text import one_line, usd


def headline(route: Route) -> str:
    """What was decided."""
    confidence = "" if route.confidence is None else f"confidence {route.confidence:.2f} · "
    return (
        f"→ {route.tier}  {one_line(route.chosen.model)}  "
        f"{confidence}est. {cost_text(route.chosen.expected_cost_nanousd)} · policy {route.policy}"
    )


def because(route: Route) -> str:
    """What it was decided on: the reason, the kinds of work it may be, and what else was seen or said."""
    parts = [route.reason]
    if route.verdict is not None:
        kinds = [f"{share.kind.replace('_', ' ')} {share.probability:.0%}" for share in route.verdict.kinds]
        parts += [f"signals: {', '.join(route.verdict.signals)}"] if route.verdict.signals else []
        parts += [f"kinds: {', '.join(kinds)}"] if kinds else []
    return one_line(" · ".join(parts))


def strategy_text(strategy: Strategy) -> str:
    """How more than one answer may come to be made, and what all of them are expected to cost."""
    first = " and ".join(strategy.asked)
    told = [f"{strategy.kind}: {first}{f' compared as {strategy.task}' if strategy.task else ''}"]
    if strategy.checks:
        told.append(f"checked: {', '.join(strategy.checks)}")
    if strategy.streams == "record":
        told.append("a stream is passed on, and checked at its end")
    if strategy.then:
        share = "" if strategy.escalation is None else f" in {strategy.escalation:.0%} of cases"
        told.append(f"else {strategy.then}{share}")
    cost = strategy.expected_cost_nanousd
    told.append("est. cost is not known" if cost is None else f"est. {usd(cost)} in all")
    return one_line(" · ".join(told))


def rows(route: Route) -> list[tuple[str, ...]]:
    """Every candidate, in order of trial, then those that were removed."""
    return [
        (
            one_line(candidate.model),
            candidate.tier,
            success_text(candidate),
            cost_text(candidate.expected_cost_nanousd),
            "yes" if candidate.is_eligible else "no",
            one_line(candidate.reason),
        )
        for candidate in route.candidates
    ]


def success_text(candidate: Candidate) -> str:
    """The probability of a good answer, and behind it how many outcomes of such work it rests on."""
    if candidate.success is None:
        return "–"
    return f"{candidate.success:.2f}" + (f" ({candidate.outcomes})" if candidate.outcomes else "")


def cost_text(nanousd: int | None) -> str:
    """What is expected to be paid."""
    return "no price" if nanousd is None else usd(nanousd)
