"""The playground: the same question to two models, with the decision explained, and costs before and after."""

from collections.abc import Mapping, Sequence

from routewright.catalog.registry import VIRTUAL_MODELS, Registry
from routewright.dashboard.listing import Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.question import MOST_TOKENS, Side, Wish
from routewright.dashboard.request import decision_of
from routewright.dashboard.view import Desk, View
from routewright.ledger.ledger import NANOSECONDS
from routewright.reports.decision_text import because, headline
from routewright.route import Route


def read(desk: Desk, asked: Parameters) -> View:
    """No question: an empty form, and what can be asked."""
    registry = desk.engine.registry
    listing = _models(registry, desk.now_ns)
    return View(title="Playground", template="playground.html", values=values(registry, Wish()), listings=(listing,))


def values(
    registry: Registry, wish: Wish, sides: Sequence[Side] = (), route: Route | None = None
) -> Mapping[str, object]:
    """What the page is made of; `route` is the decision that is explained."""
    names = (
        *VIRTUAL_MODELS,
        *registry.aliases,
        *(model.name for model in registry.models.values() if model.deployments),
    )
    return {
        "wish": wish,
        "names": names,
        "sides": sides,
        "route": route,
        "decision": None if route is None else decision_of(route),
        "headline": "" if route is None else headline(route),
        "because": "" if route is None else because(route),
        "most_tokens": MOST_TOKENS,
    }


def _models(registry: Registry, now_ns: int) -> Listing:
    rates = {
        model.name: model.prices.rates_at(now_ns // NANOSECONDS, 0)
        for model in registry.models.values()
        if model.prices is not None
    }
    return Listing(
        name="models",
        title="Models",
        columns=(
            Column("model", "model"),
            Column("tier", "tier"),
            Column("input_usd", "a million tokens in", Kind.USD),
            Column("output_usd", "out", Kind.USD),
        ),
        rows=[
            (
                model.name,
                model.tier,
                1_000 * rates[model.name].input if model.name in rates else None,
                1_000 * rates[model.name].output if model.name in rates else None,
            )
            for model in registry.models.values()
            if model.deployments
        ],
    )
