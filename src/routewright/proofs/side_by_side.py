"""Figures of several gateways as a page has them: a row for each trial, a column for each gateway.

Below the table stands what there is to know about single ones, and, folded, the exact settings that each ran with.
"""

from collections.abc import Iterator, Sequence

from routewright.proofs.figure import Figure, row

INTRODUCTION = """\
Each gateway has its defaults and what is folded below, before the same scripted provider on loopback, in one run.
*Presented as complete*: a `finish_reason` or `[DONE]` tells the client that it has all. *Without a word*: the body ends
properly, with neither these nor an error, which most clients take for the end. The provider's bill is exact; streams
that are left or cut it bills whole, where most providers bill what they had generated. Attempts that fail cost time and
limits, so fewer of them are better, where as many requests are answered. The trials of two deployments come in this
order, so streams meet what whole answers have taught; who chooses by chance meets the one that fails about every other
time, by more or less in each run.
"""
SETTINGS, NOTE = "settings", "note"
"""What the texts among the figures are."""


def side_by_side(figures: Sequence[Figure]) -> Iterator[str]:
    """Lines of Markdown."""
    yield INTRODUCTION
    measured = [each for each in figures if not each.is_text]
    names = list(dict.fromkeys(each.name for each in measured))
    cells = {(each.what, each.name): each.measured for each in measured}
    yield f"| trial | {' | '.join(names)} |"
    yield "|---|" + "---|" * len(names)
    for what in dict.fromkeys(each.what for each in measured):
        yield row(what, *(cells.get((what, name), "") for name in names))
    yield ""
    for run in dict.fromkeys(each.run for each in measured):
        yield f"* {run}"
    yield from (f"* {each.name}: {each.measured}" for each in figures if each.what == NOTE)
    for each in figures:
        if each.what == SETTINGS:
            yield from folded(each.measured)


def folded(text: str) -> Iterator[str]:
    """A text of which only the first line is seen at first."""
    title, _, rest = text.partition("\n")
    yield from ("", f"<details><summary>{title}</summary>", "", "```text", rest.strip(), "```", "", "</details>")
