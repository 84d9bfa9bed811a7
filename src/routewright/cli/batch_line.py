"""The line that tells how far a batch is, on stderr while somebody looks at it."""

import asyncio
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from routewright.text import usd

if TYPE_CHECKING:
    from routewright.jobs.runner import Progress

EVERY_S = 0.25


async def follow(progress: "Progress") -> None:
    """Show the line, and its last state when it is cancelled; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        await asyncio.Event().wait()
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), auto_refresh=False, transient=False) as live:
        try:
            while True:
                live.update(Text(told(progress, time.monotonic())), refresh=True)
                await asyncio.sleep(EVERY_S)
        finally:
            live.update(Text(told(progress, time.monotonic())), refresh=True)


def told(progress: "Progress", now: float) -> str:
    """`120 / 1,000 · 41.2/s · $0.0034 of about $0.028 · 2 failed · 21 s left`; `now` is in monotonic seconds."""
    done, since = progress.done, progress.done - progress.begun_with
    rate = since / max(now - progress.begun_at, 0.001)
    parts = [f"{done:,} / {progress.total:,}", f"{rate:,.1f}/s"]
    cost = usd(progress.cost_nanousd)
    if progress.completed and done < progress.total:
        cost += f" of about {usd(progress.cost_nanousd * progress.total // done)}"
    parts.append(cost)
    if progress.failed:
        parts.append(f"{progress.failed:,} failed")
    if since and done < progress.total:
        left = timedelta(seconds=round((progress.total - done) / rate))
        parts.append(f"{left} left")
    return " · ".join(parts)
