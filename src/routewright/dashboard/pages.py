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
    request,
    requests,
    sessions,
    shadows,
)

PAGES = (
    overview.PAGE,
    requests.PAGE,
    request.PAGE,
    sessions.PAGE,
    sessions.ONE,
    quality.PAGE,
    drift.PAGE,
    shadows.PAGE,
    backtests.PAGE,
    policies.PAGE,
    models.PAGE,
    budgets.PAGE,
    keys.PAGE,
    keys.ONE,
    batches.PAGE,
    batches.ONE,
    playground.PAGE,
)
