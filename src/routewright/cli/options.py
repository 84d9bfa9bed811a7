"""Options that several verbs have, so that they mean the same everywhere."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from routewright.settings.sources import ConfigPlace, is_address

F = TypeVar("F", bound=Callable[..., Any])

MOST_TOKENS = 1_000_000_000
"""Of one answer: more is refused in a request too."""


class Within(click.FloatRange):
    """A number between two bounds. NaN is none: nothing compares with it, so that click lets it pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is no number", param, ctx)
        return number


def _assignments(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """`key=value` texts as one mapping; the key is dotted as in the settings."""
    pairs = [text.partition("=") for text in texts]
    for text, (key, equals, _) in zip(texts, pairs, strict=True):
        if not equals or not key.strip():
            raise click.BadParameter(f"{text!r} is not key=value, such as policy.confidence_threshold=0.8", ctx, param)
    return {key.strip(): value.strip() for key, _, value in pairs}


def _config_place(ctx: click.Context, param: click.Parameter, text: str | None) -> ConfigPlace | None:
    """A path, or an https address."""
    return text if text is None or is_address(text) else Path(text)


def settings_options(verb: F) -> F:
    """`--config` and `--set`, as `config` and `flags`."""
    verb = click.option(
        "--set",
        "flags",
        multiple=True,
        metavar="KEY=VALUE",
        callback=_assignments,
        help="Set one setting for this run, e.g. policy.confidence_threshold=0.8. Repeatable.",
    )(verb)
    return click.option(
        "--config",
        callback=_config_place,
        metavar="PATH|URL",
        help="Read this settings file instead of ./routewright.toml.",
    )(verb)


def json_option(verb: F) -> F:
    """`--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")(verb)


def simulate_option(verb: F) -> F:
    """`--simulate`, as `simulate`."""
    return click.option(
        "--simulate", is_flag=True, help="Let all models answer from the built-in simulator: no key, no cost."
    )(verb)


def question_options(verb: F) -> F:
    """The prompt and what may be said beside it: `words`, `model`, `tier`, `min_quality`, `quality`, `policy`, `system`
    and `max_tokens`."""
    verb = click.option(
        "--max-tokens", type=click.IntRange(1, MOST_TOKENS), metavar="N", help="Longest answer, in tokens."
    )(verb)
    verb = click.option("--system", metavar="TEXT", help="Instructions that stand before the prompt.")(verb)
    verb = click.option("--policy", metavar="NAME", help="Decide by this policy, not by whose turn it is.")(verb)
    verb = click.option(
        "--quality",
        metavar="WISH",
        help='The cheapest model as good as another one, e.g. "match claude-opus-4.7 within 2 %".',
    )(verb)
    verb = click.option(
        "--min-quality",
        type=Within(0, 1),
        metavar="P",
        help="The cheapest model whose answer is good with this probability, from 0 to 1.",
    )(verb)
    verb = click.option("--tier", metavar="TIER", help="Take this tier instead of classifying.")(verb)
    verb = click.option(
        "--model",
        metavar="NAME",
        help="auto (the default), auto:cheap, auto:best, an alias, a model, or provider/model.",
    )(verb)
    return click.argument("words", metavar="[PROMPT]...", nargs=-1)(verb)


def read_prompt(words: tuple[str, ...]) -> str:
    """The words as one prompt; a `-` among them, or no words at all, stands for what stdin has, which comes last.

    Raises click.UsageError when there is neither, instead of waiting for somebody to type.
    """
    said = " ".join(word for word in words if word != "-").strip()
    if said and "-" not in words:
        return said
    if not words and sys.stdin.isatty():
        raise click.UsageError('no prompt: give one, as in `routewright ask "Why is the sky blue?"`, or pipe one in')
    read = sys.stdin.buffer.read().decode(errors="replace").strip()
    if not said and not read:
        raise click.UsageError("the prompt is empty")
    return "\n\n".join(part for part in (said, read) if part)
