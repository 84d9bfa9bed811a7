"""The decision as a value: every candidate with its reason, so that it can be printed, stored and replayed.

There may be hundreds of models, and a request tries a few. So only those are written out as a `Candidate` each; of the
others there are columns of numbers (`Examined`), from which their candidates are made for whoever reads them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from routewright.catalog.registry import Tier
from routewright.usage import NO_INPUT, InputParts


class KindShare(Struct, frozen=True, array_like=True):
    """How probable it is that a request is work of one kind, e.g. `("translation", 0.83)`."""

    kind: str
    probability: float


class Sign(Struct, frozen=True, array_like=True):
    """Something in a session that says how hard its next turn is, e.g. `("4 tool results failed", 1.5)`."""

    name: str
    weight: float
    """In steps between tiers; above zero for harder."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What the classifier says of a request."""

    tier: Tier
    confidence: float
    """Probability, 0 to 1, that `tier` is the right one."""
    reason: str
    signals: tuple[str, ...] = ()
    """The evidence, in the order it was found, e.g. `("shape:json_schema", "words:extract")`."""
    classifier: str
    """Name and version, e.g. `heuristic@1`."""
    kinds: tuple[KindShare, ...] = ()
    """The most probable kinds of work, most probable first; empty when the classifier does not know of kinds."""
    sketch: bytes = b""
    """What was seen of the words, hashed beyond recovery: what is learned from later. Empty when there is none."""


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a decision looks at in a request beside its words, so that it can be made again without them."""

    model: str
    """As asked for: `auto`, an alias, a model, or `provider/model`."""
    tier: Tier | None = None
    min_quality: float | None = None
    """The least probability of a good answer, 0 to 1, that a model must have."""
    max_cost_nanousd: int | None = None
    background: str = ""
    """What an agent's program wants beside its work, e.g. `a title`; empty for all else."""
    max_output_tokens: int | None = None
    choices: int = 1
    prefers_reasoning: bool = False
    required: tuple[str, ...] = ()
    """Capabilities that a model must have."""


Hindrance: TypeAlias = Literal["", "resting", "unable"]


class Candidate(Struct, frozen=True, kw_only=True):
    """One model as the decision saw it."""

    model: str
    tier: Tier
    is_eligible: bool
    reason: str
    """Why it stands where it stands, or what removed it."""
    expected_cost_nanousd: int | None
    """Input and output together; None when the model has no price."""
    cold_cost_nanousd: int | None = None
    """What it would be if nothing of the conversation were in the provider's cache; None where nothing is."""
    success: float | None = None
    """Probability, 0 to 1, that its answer will be good; None when nobody can say."""
    outcomes: int = 0
    """How many recorded outcomes of this model on this kind of work that probability rests on."""
    doubt: float | None = None
    """Standard deviation of `success`; None where that is."""
    output_tokens: int | None = None
    """Expected of this model; None where that is no other than the route's."""
    hindrance: Hindrance = ""
    """Why it would not have been called at all: all its places rest, or a constraint has removed it."""
    propensity: float | None = None
    """The probability with which it was to be the first choice; None in a route that does not say so yet."""
    deployments: tuple[str, ...] = ()
    """Ids of the deployments that may serve it, in order of trial; of one that is not eligible, those that could."""
    dropped_fields: tuple[str, ...] = ()
    """Fields of the request without effect on the answer that this model's dialect cannot carry."""


STEPS = 10_000
"""Probabilities are told to so many steps."""


class Removed(Struct, frozen=True, array_like=True):
    """Models that are not tried for one and the same reason, and could not be asked later either."""

    reason: str
    hindrance: Hindrance
    at: Sequence[int]
    """Their places."""


class Foreseen(Struct, frozen=True, kw_only=True):
    """What was expected of all models, column by column; see `Candidate`."""

    success: Sequence[int | None]
    """In `STEPS` to 1; None of a model of which nothing is known."""
    doubt: Sequence[int]
    """In `STEPS` to 1, too."""
    outcomes: Sequence[int]
    output_tokens: Sequence[int]


class Examined(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All models that a decision looked at, column by column; each has the same place in all columns."""

    models: Sequence[str]
    tiers: Sequence[Tier]
    deployments: Sequence[Sequence[str]]
    """Ids, in order of trial."""
    costs: Sequence[int | None]
    """`Candidate.expected_cost_nanousd`."""
    foreseen: Foreseen | None = None
    """None where nobody knows what to expect."""
    reasons: Mapping[Tier, str]
    """Why a model is not tried that could be, by its tier."""
    propensity: float = 0.0
    """Of a model that is not tried and could be called."""
    in_reserve: bool = True
    """Whether such a model could be asked, should an answer not do."""
    removed: Sequence[Removed] = ()

    def others(self, written: Iterable[Candidate]) -> Iterator[Candidate]:
        """Every model that is not tried, in order; of those that are written out already, what is written."""
        known = {each.model: each for each in written}
        removed = {at: each for each in self.removed for at in each.at}
        for at, name in enumerate(self.models):
            candidate = known.get(name) or self._candidate(at, removed.get(at))
            if not candidate.is_eligible:
                yield candidate

    def success_of(self, model: str) -> float | None:
        """The probability of a good answer; None where nobody can say."""
        if self.foreseen is None or model not in self.models:
            return None
        success = self.foreseen.success[self.models.index(model)]
        return None if success is None else success / STEPS

    def _candidate(self, at: int, removed: Removed | None) -> Candidate:
        hindrance: Hindrance = "" if removed is None else removed.hindrance
        usual = Candidate(
            model=self.models[at],
            tier=self.tiers[at],
            is_eligible=False,
            reason=self.reasons[self.tiers[at]] if removed is None else removed.reason,
            expected_cost_nanousd=self.costs[at],
            hindrance=hindrance,
            propensity=0.0 if hindrance else self.propensity,
            deployments=tuple(self.deployments[at]) if removed is None and self.in_reserve else (),
        )
        success = None if self.foreseen is None else self.foreseen.success[at]
        if self.foreseen is None or success is None:
            return usual
        return replace(
            usual,
            success=success / STEPS,
            outcomes=self.foreseen.outcomes[at],
            doubt=self.foreseen.doubt[at] / STEPS,
            output_tokens=self.foreseen.output_tokens[at],
        )


class Strategy(Struct, frozen=True, kw_only=True):
    """How more than one answer may come to be made for a request, and what that is expected to cost."""

    kind: Literal["checks", "agreement"]
    """Another answer is made when one does not pass its checks; or when two cheap ones do not say the same."""
    checks: tuple[str, ...] = ()
    """Names of the checks that an answer must pass."""
    asked: tuple[str, ...]
    """Models that are asked first; of an agreement two, or one twice."""
    then: str = ""
    """The model that is asked when that does not do; empty where there is none."""
    task: str = ""
    """Of an agreement, the form in which answers are compared: `choice`, `number`, `text` or `json`."""
    streams: Literal["buffer", "record"] = "buffer"
    """A stream is held back until it is checked; or is passed on, checked at its end, and only recorded."""
    escalation: float | None = None
    """The probability, 0 to 1, that `then` is asked; None when nobody can say."""
    expected_cost_nanousd: int | None = None
    """All answers together; None when that is not known."""


class Route(Struct, frozen=True, kw_only=True):
    """Which models may answer, in the order they will be tried, and why.

    `candidates` lists the eligible ones first, in order of trial, then the others.
    """

    verdict: Verdict | None
    """None when the caller named the model, so nothing was classified."""
    tier: Tier
    """The tier taken: the verdict's, or standard when the confidence is below the threshold."""
    reason: str
    written: tuple[Candidate, ...] = field(name="candidates")
    """The candidates that are written out: those that will be tried, in order, then those of which more is to be said
    than `examined` has, or all."""
    input_tokens: int
    """Pre-flight estimate."""
    input_parts: InputParts = NO_INPUT
    """What that consists of."""
    output_tokens: int
    """Expected, bounded by what the caller allows."""
    session: tuple[Sign, ...] = ()
    """What the session shows of how it goes; it moved the tier, or the success of all models, by these weights."""
    context: tuple[str, ...] = ()
    """What was done to shorten the input, or tried in vain, step by step; empty when it is sent as it came.

    `input_tokens` counts what is sent; the candidates' costs are those expected before anything was shortened.
    """
    spending: tuple[str, ...] = ()
    """What was done to make it fit into its budgets, step by step; empty when it fitted as it was."""
    strategy: Strategy | None = None
    """How more than one answer may come to be made; None where there will be one."""
    cascade: tuple[str, ...] = ()
    """What was done about answers that did not do, step by step; empty when the first one did."""
    max_output_tokens: int | None = None
    """What the answer's length was lowered to, so that it can be afforded; None when it was not."""
    asked: Asked | None = None
    """None in a route that does not say so yet, as in the next field."""
    first_choice: str = ""
    """The model that the decision put first: what was drawn, where it was drawn.

    What happens then (a budget that it does not fit, a failure) may let another one answer, and moves `chosen`.
    """
    propensity: float = 1.0
    """The probability with which that choice was made; 1 for a choice without chance."""
    baseline_model: str | None = None
    """The model a saving is measured against."""
    baseline_cost_nanousd: int | None = None
    """What this request is expected to cost there."""
    catalog: str
    classifier: str | None
    policy: str
    """Versions: content hashes of the registry and of the policy, and the classifier's name."""
    examined: Examined | UnsetType = UNSET
    """All models, where not all are written out."""

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """All models, in order."""
        if self.examined is UNSET:
            return self.written
        return (*self.eligible, *self.examined.others(self.written))

    @property
    def eligible(self) -> tuple[Candidate, ...]:
        """The candidates that will be tried, in order; never empty in a route that `select` returned."""
        return tuple([candidate for candidate in self.written if candidate.is_eligible])

    @property
    def chosen(self) -> Candidate:
        """The first choice."""
        return self.written[0]

    def written_out(self) -> "Route":
        """The same with every candidate written out: as it is shown."""
        return self if self.examined is UNSET else self.with_candidates(self.candidates)

    def with_candidates(self, candidates: Iterable[Candidate]) -> "Route":
        """The same with these candidates, and no others."""
        return replace(self, written=tuple(candidates), examined=UNSET)

    @property
    def confidence(self) -> float | None:
        """The verdict's confidence; None when the caller named the model."""
        return self.verdict.confidence if self.verdict else None

    def made_without_chance(self, model: str) -> "Route":
        """The same decision with `model` as its certain first choice: it was taken before, and is only told again."""
        candidates = tuple(replace(each, propensity=float(each.model == model)) for each in self.candidates)
        return replace(self, written=candidates, examined=UNSET, first_choice=model, propensity=1.0)
