"""Rows of jobs long over go: of each item its place, its result and its sending. The job and its sums stay.

A job's sums are written first, and from then on tell how it went; then its rows go, few at a time, so that nobody waits
for them. Whoever dies meanwhile leaves a job with fewer rows, of which the next round takes the rest.
"""

import time
from collections.abc import Callable

from routewright.jobs.store import JobStore
from routewright.ledger.ledger import NANOSECONDS

DAY_NS = 86_400 * NANOSECONDS
MOST_A_ROUND = 200_000
"""Items whose rows go in one round."""
AT_ONCE = 1_000
BREATH_S = 0.02


def _breathe() -> None:
    time.sleep(BREATH_S)


def prune(
    store: JobStore, now_ns: int, kept_days: int, *, most: int = MOST_A_ROUND, pause: Callable[[], None] = _breathe
) -> int:
    """Delete rows of jobs that have been over for more than so many days, the oldest first; 0 days keep all.

    `pause` is called after each few. Returns of how many items. Raises StoreUnavailable.
    """
    gone = 0
    if not kept_days:
        return gone
    before_ns = now_ns - kept_days * DAY_NS
    while gone < most and (job := store.oldest_with_items(before_ns)) is not None:
        if job.summary is None:
            job = store.summarise(job)
        gone += store.delete_items(job, min(AT_ONCE, most - gone))
        pause()
    return gone
