"""What a decision says of each model, chosen or not.

Those that are tried are written out, and so are those of which something unusual may be to be said: a deployment rests,
or something is warm. Of all others there are columns, and the few reasons why they are not tried.
"""

from collections.abc import Callable, Sequence

from msgspec import UNSET, UnsetType

from routewright.call import Call
from routewright.catalog.registry import MAX_ATTEMPTS
from routewright.decision.eligibility import Examiner, Findings
from routewright.decision.intent import Intent
from routewright.decision.ranking import Draw, reasons_not_to_try
from routewright.route import STEPS, Candidate, Examined, Foreseen, Hindrance, Removed


class Telling:
    """One decision, for whoever asks about its models; they are told by their place in the lineup."""

    def __init__(self, intent: Intent, draw: Draw, findings: Findings, examiner: Examiner) -> None:
        self._ranking, self._propensities = draw.ranking, draw.propensities
        self._findings = findings
        self._examiner = examiner
        self._warm = examiner.warm
        self._unusual = examiner.unusual
        self._is_short = len(findings.lineup.names) <= MAX_ATTEMPTS
        """Whether all models are written out: columns would be longer."""
        self._is_reserved = intent.named is None
        """Whether models that are not tried could be called, should an answer not do: not if another was named."""
        self._why_not = reasons_not_to_try(intent, self._ranking)

    def written(self, call: Call, dropped_fields: Callable[[str, Call], tuple[str, ...]]) -> tuple[Candidate, ...]:
        """The candidates that are tried, in order, then the others that are written out."""
        eligible, lineup = self._ranking.eligible, self._findings.lineup
        dropped: dict[str, tuple[str, ...]] = {}
        written = []
        for at, reason in eligible.items():
            dialect, ids = self._places(at)
            if dialect not in dropped:
                dropped[dialect] = dropped_fields(dialect, call)
            written.append(self._candidate(at, reason, ids, dropped[dialect], True))
        others = range(len(lineup.names)) if self._is_short else sorted(self._unusual)
        return (*written, *[self._untried(at) for at in others if at not in eligible])

    def examined(self) -> Examined | UnsetType:
        """All models; unset where they are written out."""
        if self._is_short:
            return UNSET
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

    def _places(self, at: int) -> tuple[str, tuple[str, ...]]:
        """Where a model that can take the call is called: the dialect that is tried first, and the ids."""
        lineup = self._findings.lineup
        if at not in self._unusual:
            return lineup.models[at].deployments[0].dialect, lineup.deployments[at]
        places = self._examiner.deployments(lineup.models[at])
        return places[0].dialect, tuple([place.id for place in places])

    def _untried(self, at: int) -> Candidate:
        findings, removed = self._findings, self._ranking.removed
        if at in findings.obstacles:
            return self._candidate(at, findings.reasons[at])
        if at in removed:
            return self._candidate(at, removed[at])
        reason = self._why_not[findings.lineup.tiers[at]]
        return self._candidate(at, reason, self._places(at)[1] if self._is_reserved else ())

    def _candidate(
        self,
        at: int,
        reason: str,
        ids: tuple[str, ...] = (),
        dropped_fields: tuple[str, ...] = (),
        is_eligible: bool = False,
    ) -> Candidate:
        findings, lineup, forecast = self._findings, self._findings.lineup, self._findings.forecast
        name = lineup.names[at]
        hindrance: Hindrance = ""
        if at in findings.reasons:
            hindrance = "unable" if at in findings.obstacles else "resting"
        if self._warm and (tokens := self._warm.get(name)):
            reason = f"{reason}; {tokens:,} tokens warm"
        success, outcomes, doubt, output_tokens = None, 0, None, None
        if forecast is not None and at not in forecast.unknown:
            success = int(forecast.success[at] * STEPS + 0.5) / STEPS
            outcomes = forecast.outcomes[at]
            doubt = int(forecast.doubt[at] * STEPS + 0.5) / STEPS
            output_tokens = findings.output_tokens[at]
        return Candidate(
            model=name,
            tier=lineup.tiers[at],
            is_eligible=is_eligible,
            reason=reason,
            expected_cost_nanousd=findings.costs[at] if at not in lineup.unpriced else None,
            cold_cost_nanousd=findings.cold.get(at),
            success=success,
            outcomes=outcomes,
            doubt=doubt,
            output_tokens=output_tokens,
            hindrance=hindrance,
            propensity=self._propensities.get(at, 0.0),
            deployments=ids,
            dropped_fields=dropped_fields,
        )

    def _removed(self) -> Sequence[Removed]:
        findings, removed = self._findings, self._ranking.removed
        together: dict[tuple[str, Hindrance], list[int]] = {}
        for at in findings.obstacles:
            together.setdefault((findings.reasons[at], "unable"), []).append(at)
        for at in removed:
            together.setdefault((removed[at], ""), []).append(at)
        return [Removed(reason, hindrance, at) for (reason, hindrance), at in together.items()]


def _foreseen(findings: Findings) -> Foreseen | None:
    """In whole steps: shorter to write, and sooner."""
    forecast = findings.forecast
    if forecast is None:
        return None
    success: list[int | None] = [int(number * STEPS + 0.5) for number in forecast.success]
    for at in forecast.unknown:
        success[at] = None
    doubt = [int(number * STEPS + 0.5) for number in forecast.doubt]
    return Foreseen(success=success, doubt=doubt, outcomes=forecast.outcomes, output_tokens=findings.output_tokens)
