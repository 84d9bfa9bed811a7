"""What a decision says of each model, chosen or not.

Those that are tried are written out, and so are those of which something unusual may be to be said: a deployment rests,
or something is warm. Of all others there are columns, and the few reasons why they are not tried.
"""

from collections.abc import Callable, Mapping, Sequence

from routewright.call import Call
from routewright.decision.eligibility import Examiner, Findings
from routewright.decision.intent import Intent
from routewright.decision.ranking import Draw, reasons_not_to_try
from routewright.route import STEPS, Candidate, Examined, Foreseen, Hindrance, Removed


class Telling:
    """One decision, for whoever asks about its models; they are told by their place in the lineup."""

    def __init__(
        self,
        call: Call,
        intent: Intent,
        draw: Draw,
        findings: Findings,
        examiner: Examiner,
        warm: Mapping[str, int],
        dropped_fields: Callable[[str, Call], tuple[str, ...]],
    ) -> None:
        self._call = call
        self._ranking, self._propensities = draw
        self._findings = findings
        self._examiner = examiner
        self._warm = warm
        self._dropped_fields = dropped_fields
        self._dropped: dict[str, tuple[str, ...]] = {}
        """By dialect."""
        self._is_reserved = intent.named is None
        """Whether models that are not tried could be called, should an answer not do: not if another was named."""
        self._why_not = reasons_not_to_try(intent, self._ranking)

    def written(self) -> tuple[Candidate, ...]:
        """The candidates that are tried, in order, then those that may be unusual."""
        eligible = self._ranking.eligible
        written = [self._tried(at, reason) for at, reason in eligible.items()]
        unusual = self._examiner.unusual
        if unusual:
            written += [self._untried(at) for at in sorted(unusual) if at not in eligible]
        return tuple(written)

    def examined(self) -> Examined:
        """All models."""
        findings, lineup, eligible = self._findings, self._findings.lineup, self._ranking.eligible
        costs: list[int | None] = [*findings.costs]
        for at in lineup.unpriced:
            costs[at] = None
        drawable = [each for at, each in self._propensities.items() if at not in eligible]
        return Examined(
            models=lineup.names,
            tiers=lineup.tiers,
            deployments=lineup.deployments,
            costs=costs,
            foreseen=_foreseen(findings),
            reasons=self._why_not,
            propensity=drawable[0] if drawable else 0.0,
            in_reserve=self._is_reserved,
            removed=self._removed(),
        )

    def _tried(self, at: int, reason: str) -> Candidate:
        places = self._examiner.deployments(self._findings.lineup.models[at])
        dialect = places[0].dialect
        if dialect not in self._dropped:
            self._dropped[dialect] = self._dropped_fields(dialect, self._call)
        ids = tuple([place.id for place in places])
        return self._candidate(at, reason, ids, is_eligible=True, dropped_fields=self._dropped[dialect])

    def _untried(self, at: int) -> Candidate:
        findings, removed = self._findings, self._ranking.removed
        if at in findings.obstacles:
            return self._candidate(at, findings.reasons[at])
        if at in removed or not self._is_reserved:
            return self._candidate(at, removed.get(at) or self._why_not[findings.lineup.tiers[at]])
        ids = tuple([place.id for place in self._examiner.deployments(findings.lineup.models[at])])
        return self._candidate(at, self._why_not[findings.lineup.tiers[at]], ids)

    def _candidate(
        self,
        at: int,
        reason: str,
        ids: tuple[str, ...] = (),
        *,
        is_eligible: bool = False,
        dropped_fields: tuple[str, ...] = (),
    ) -> Candidate:
        findings, name = self._findings, self._findings.lineup.names[at]
        forecast = findings.forecast if findings.is_foreseen(at) else None
        tokens = self._warm.get(name, 0)
        hindrance: Hindrance = "" if at not in findings.reasons else "unable" if at in findings.obstacles else "resting"
        return Candidate(
            model=name,
            tier=findings.lineup.tiers[at],
            is_eligible=is_eligible,
            reason=f"{reason}; {tokens:,} tokens warm" if tokens else reason,
            expected_cost_nanousd=findings.cost(at),
            cold_cost_nanousd=findings.cold.get(at),
            success=None if forecast is None else _steps(forecast.success[at]) / STEPS,
            outcomes=0 if forecast is None else forecast.outcomes[at],
            doubt=None if forecast is None else _steps(forecast.doubt[at]) / STEPS,
            output_tokens=None if forecast is None else findings.output_tokens[at],
            hindrance=hindrance,
            propensity=self._propensities.get(at, 0.0),
            deployments=ids,
            dropped_fields=dropped_fields,
        )

    def _removed(self) -> Sequence[Removed]:
        findings = self._findings
        together: dict[tuple[str, Hindrance], list[int]] = {}
        for at in findings.obstacles:
            together.setdefault((findings.reasons[at], "unable"), []).append(at)
        for at, reason in self._ranking.removed.items():
            together.setdefault((reason, ""), []).append(at)
        return [Removed(reason, hindrance, at) for (reason, hindrance), at in together.items()] if together else ()


def _foreseen(findings: Findings) -> Foreseen | None:
    forecast = findings.forecast
    if forecast is None:
        return None
    success: list[int | None] = [*map(_steps, forecast.success)]
    for at in forecast.unknown:
        success[at] = None
    return Foreseen(
        success=success,
        doubt=[*map(_steps, forecast.doubt)],
        outcomes=forecast.outcomes,
        output_tokens=findings.output_tokens,
    )


def _steps(number: float) -> int:
    """The nearest of `STEPS` steps to 1, of a number that is not negative."""
    return int(number * STEPS + 0.5)
