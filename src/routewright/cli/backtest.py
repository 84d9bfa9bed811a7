"""`routewright backtest`: what another policy would have cost on logged traffic, and how good it would be."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routewright.cli.failures import NothingLogged
from routewright.cli.ledger import reading
from routewright.cli.opening import source_of
from routewright.cli.options import json_option, settings_options, simulate_option
from routewright.cli.report import moment
from routewright.cli.screen import print_json, say
from routewright.clock import SystemClock
from routewright.reports.backtests import keep_backtest

if TYPE_CHECKING:
    from routewright.backtesting import World
    from routewright.decision.artefact import Artefact
    from routewright.settings import Settings

MOST_POLICIES = 50


def _tries(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[str, tuple[str, ...]] | None:
    """`KEY=V1,V2,…` as a key and its values."""
    if text is None:
        return None
    key, equals, values = text.partition("=")
    found = tuple(value.strip() for value in values.split(",") if value.strip())
    if not equals or not key.strip() or not found:
        raise click.BadParameter(f"{text!r} is not KEY=V1,V2,…, such as policy.min_quality=0.7,0.8,0.9", ctx, param)
    if len(found) > MOST_POLICIES:
        raise click.BadParameter(f"{len(found)} values are more than {MOST_POLICIES}", ctx, param)
    return key.strip(), found


@click.command("backtest", short_help="What another policy would have cost on your traffic, and how good it would be.")
@click.option(
    "--against",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another settings file to compare with. Repeatable.",
)
@click.option(
    "--try",
    "tries",
    metavar="KEY=V1,V2,…",
    callback=_tries,
    help="One policy for each value of a setting, e.g. policy.min_quality=0.7,0.8,0.9.",
)
@click.option("--since", "since_ns", metavar="WHEN", callback=moment, help="From then on: 7d, 24h, 2w or 2026-11-01.")
@click.option("--until", "until_ns", metavar="WHEN", callback=moment, help="Up to then, not including it.")
@click.option("--model", metavar="NAME", help="Only requests that this model answered.")
@click.option("--team", metavar="NAME", help='Only this team; "" for requests without one.')
@click.option("--key", metavar="ID", help='Only this virtual key; "" for requests without one.')
@click.option("--tag", metavar="TAG", help="Only requests with this tag.")
@click.option("--seed", type=int, metavar="N", default=1, show_default=True, help="Whatever is drawn is drawn from it.")
@click.option("--save", is_flag=True, help="Keep the result for the dashboard, in place of the one before.")
@simulate_option
@json_option
@settings_options
def command(
    files: tuple[Path, ...],
    tries: tuple[str, tuple[str, ...]] | None,
    since_ns: int | None,
    until_ns: int | None,
    model: str | None,
    team: str | None,
    key: str | None,
    tag: str | None,
    seed: int,
    save: bool,
    simulate: bool,
    as_json: bool,
    config: Path | None,
    flags: Mapping[str, str],
) -> None:
    """What another policy would have cost on your traffic, and how good it would be.

    The traffic is that of the ledger. The other policy is the present settings with what --set or --try change, or
    another file: thresholds, tiers, models, prices. Its choices are weighed by the probabilities with which choices
    were logged, so a model is only judged where it was tried: policy.exploration makes that happen. Where there is not
    enough data, that is said. Nothing is called, and nothing is changed.
    Needs the extra `evidence`.
    """
    from routewright.backtesting import FEWEST_DECISIONS, backtest
    from routewright.cli.backtested import kept_of, show
    from routewright.ledger.experience import ALL, FOREVER_NS, Only, read_decisions

    settings, now = _world("now", config, _ledger_only(flags), simulate=simulate)
    others = [
        _world(name, file, changes, simulate=simulate) for name, file, changes in _others(files, tries, config, flags)
    ]
    only = Only(model=model, team=team, key=key, tag=tag)
    with reading(settings) as store:
        found = store and read_decisions(store.database, since_ns or 0, until_ns or FOREVER_NS, only)
    if not found or len(found.logged) < FEWEST_DECISIONS:
        is_asked_for = since_ns or until_ns or only != ALL
        raise NothingLogged(
            "the ledger has fewer than two decisions to replay" + (" of that time or kind" if is_asked_for else ""),
            hint="ask something first; `routewright report` shows what there is",
        )
    result = backtest(found.logged, now, [world for _, world in others], _artefact(settings), seed=abs(seed))
    if not result.comparisons:
        raise NothingLogged(
            "no decision in the ledger says enough to be replayed",
            hint="decisions are logged in full from this version on; `--simulate` takes models without a key as well",
        )
    if save:
        path = keep_backtest(settings.ledger.path, kept_of(result, SystemClock().time_ns()))
        say(f"kept for the dashboard: {path}")
    if as_json:
        kept = {"unanswered": found.unanswered, "cached": found.cached, "cut": found.cut}
        print_json({"left_out": kept, "result": result})
        return
    show(result, found)
    for other, world in others:
        if differs := _not_replayed(settings, other):
            say(f"{world.name}: also differs in {', '.join(differs)}, which is not replayed")


def _ledger_only(flags: Mapping[str, str]) -> Mapping[str, str]:
    """What says where to read; all else that was set is the other policy's."""
    return {name: value for name, value in flags.items() if name.startswith("ledger.")}


def _others(
    files: Sequence[Path], tries: tuple[str, tuple[str, ...]] | None, config: Path | None, flags: Mapping[str, str]
) -> Iterator[tuple[str, Path | None, Mapping[str, str]]]:
    """Each other policy: its name, its file, and what is set above that."""
    told = ", ".join(f"{key}={value}" for key, value in flags.items() if not key.startswith("ledger."))
    for file in files:
        yield " ".join(filter(None, (file.stem, told))), file, flags
    if tries is not None:
        key, values = tries
        for value in values:
            yield ", ".join(filter(None, (told, f"{key}={value}"))), config, {**flags, key: value}
    if not files and tries is None:
        yield told or "present settings", config, flags


def _world(name: str, config: Path | None, flags: Mapping[str, str], *, simulate: bool) -> "tuple[Settings, World]":
    """Raises SettingsError."""
    from routewright.backtesting import World
    from routewright.policies.overlay import policy_of

    settings, registry = source_of(config, flags, simulate=simulate).load()
    return settings, World(name, policy_of(settings.policy), registry)


def _artefact(settings: "Settings") -> "Artefact | None":
    """What is expected of models that are new; None where another classifier is in force, or it cannot be read."""
    from routewright.classifiers import LEARNED, load_artefact
    from routewright.errors import ArtefactError

    if settings.policy.classifier != LEARNED:
        return None
    try:
        return load_artefact(settings.policy.artefact)
    except ArtefactError:
        return None


_LEFT_AS_IT_WAS = ("second_opinion", "context", "spending", "cache")


def _not_replayed(now: "Settings", other: "Settings") -> list[str]:
    """Settings that decide about answers too, and differ, but cannot be replayed."""
    found = [f"[{name}]" for name in _LEFT_AS_IT_WAS if getattr(now, name) != getattr(other, name)]
    names = ("classifier", "artefact", "drop_unsupported", "max_retry_attempts")
    return found + [f"policy.{name}" for name in names if getattr(now.policy, name) != getattr(other.policy, name)]
