"""`GET /metrics`: what monitoring looks at, in Prometheus' text format 0.0.4.

Written by hand: it is a few lines of text, and a client library would count a second time what is counted already.
"""

from collections.abc import Callable, Iterator, Mapping

from routewright.engine import Engine
from routewright.gateway.budgets_api import ShowBudgets, no_budgets
from routewright.gateway.families import METRICS, Metric, Sources
from routewright.gateway.http import Request, Send, respond
from routewright.gateway.siblings import Siblings
from routewright.layers.histogram import Course
from routewright.ledger.drift import Key

CONTENT_TYPE = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Metrics:
    """The handler; where its figures are, `Sources` says."""

    def __init__(
        self,
        engine: Engine,
        *,
        backlog_bytes: Callable[[], int],
        budgets: ShowBudgets = no_budgets,
        alerts: Callable[[], Mapping[str, int]] = dict,
        drift: Callable[[], Mapping[Key, bool]] = dict,
        siblings: Siblings | None = None,
    ) -> None:
        self._siblings = siblings
        self._sources = Sources(engine, backlog_bytes, budgets, alerts, drift)

    async def __call__(self, request: Request, send: Send) -> None:
        text = self.text() if self._siblings is None else await self._siblings.metrics(request, self.text())
        await respond(send, 200, [CONTENT_TYPE, (b"cache-control", b"no-store")], text.encode())

    def text(self) -> str:
        """All of it, as of now; nothing of a metric that has no samples."""
        return "".join(line for metric in METRICS for line in _lines(metric, self._sources))


def _lines(metric: Metric, sources: Sources) -> Iterator[str]:
    name = metric.full_name
    samples = list(metric.read(sources))
    if samples:
        yield f"# HELP {name} {metric.told}\n# TYPE {name} {metric.kind}\n"
    for values, value in samples:
        labels = dict(zip(metric.labels, values, strict=True))
        if isinstance(value, Course):
            yield from _course_lines(name, labels, value)
        else:
            yield _line(name, labels, value)


def _course_lines(name: str, labels: Mapping[str, str], course: Course) -> Iterator[str]:
    for bound, count in course.buckets:
        yield _line(f"{name}_bucket", {**labels, "le": f"{bound:g}"}, count)
    yield _line(f"{name}_bucket", {**labels, "le": "+Inf"}, course.count)
    yield _line(f"{name}_sum", labels, f"{course.sum:.6f}")
    yield _line(f"{name}_count", labels, course.count)


def _line(name: str, labels: Mapping[str, str], value: int | str) -> str:
    inner = ",".join(f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"{name}{{{inner}}} {value}\n" if inner else f"{name} {value}\n"
