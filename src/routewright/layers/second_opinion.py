"""Second opinions on what the classifier is unsure about. They are a help and never a condition.

What goes wrong on the way leaves the first verdict as it is, with a signal that says so: `judge:deadline_exceeded`.
"""

from msgspec import structs

from routewright.call import Call, Cause, Routed
from routewright.decision.judging import JUDGE_ORDER, judge_prompt, read_judgement, weigh
from routewright.errors import RoutewrightError
from routewright.layers.errand import Errand, Errands
from routewright.layers.service import Service
from routewright.route import Verdict


class Judge:
    """A `SecondOpinion`: a small model is asked how hard the request is, as an errand with its own cost."""

    def __init__(self, errands: Errands, *, model: str, max_output_tokens: int, limit_s: float) -> None:
        """`model` is any name that a caller may ask for, but none that would be classified."""
        self._errands = errands
        self._model = model
        self._max_output_tokens = max_output_tokens
        self._limit_s = limit_s

    async def __call__(self, call: Call, first: Verdict, forward: Service[Routed]) -> Verdict:
        prompt = judge_prompt(call)
        if prompt is None:
            return without_opinion(first, "judge:nothing to judge")
        errand = Errand(
            cause=Cause.JUDGE,
            model=self._model,
            order=JUDGE_ORDER,
            prompt=prompt,
            max_output_tokens=self._max_output_tokens,
            limit_s=self._limit_s,
        )
        planned = self._errands.plan(errand, call)
        if isinstance(planned, RoutewrightError):
            return without_opinion(first, f"judge:{planned.code}")
        answer = await self._errands.run(planned, forward)
        if isinstance(answer, RoutewrightError):
            return without_opinion(first, f"judge:{answer.code}")
        judged = read_judgement(answer)
        if judged is None:
            return without_opinion(first, "judge:unreadable answer")
        return weigh(first, judged, planned.route.chosen.model)


def without_opinion(first: Verdict, why: str) -> Verdict:
    """The first verdict, and why nobody has anything to add."""
    return structs.replace(first, signals=(*first.signals, why))
