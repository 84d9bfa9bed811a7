"""All pages, in the order of the navigation."""

from routewright.dashboard import (
    backtests,
    batches,
    budgets,
    drift,
    keys,
    models,
    overview,
    playground,
    policies,
    quality,
    shadows,
)

PAGES = (
    overview.PAGE,
    quality.PAGE,
    drift.PAGE,
    shadows.PAGE,
    backtests.PAGE,
    policies.PAGE,
    models.PAGE,
    budgets.PAGE,
    keys.PAGE,
    batches.PAGE,
    playground.PAGE,
)
