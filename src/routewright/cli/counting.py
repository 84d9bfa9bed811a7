"""A count of what is done, on stderr, while somebody looks at it there."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Add = Callable[[int], None]


@contextmanager
def counting(doing: str, noun: str = "rows") -> Iterator[Add]:
    """Yields what adds to the count; nothing is shown unless stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda number: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn(f"{doing}: {{task.completed:,.0f}} {noun}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        yield lambda number: progress.advance(task, number)
