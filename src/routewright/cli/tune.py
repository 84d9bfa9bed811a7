"""`routewright tune`: the cheapest policy that keeps a promise, by what is in the ledger; put in force, and watched."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from routewright.cli.calibrate import promised
from routewright.cli.opening import database_of, settings_of, source_of
from routewright.cli.options import Within, json_option, settings_options
from routewright.cli.report import moment
from routewright.cli.screen import Column, print_json, print_json_line, print_table, say
from routewright.clock import SystemClock
from routewright.errors import NoPromise, TooFewOutcomes
from routewright.policies.overlay import NOTHING, applied, document_of
from routewright.policies.store import AS_SETTINGS, PolicyStore, Standing
from routewright.text import counted, one_line

if TYPE_CHECKING:  # numpy takes longer to import than other verbs need to do their work
    from routewright.catalog.registry import Registry
    from routewright.jobs.promise_watch import State
    from routewright.ledger.database import Database
    from routewright.settings import Settings
    from routewright.settings.schema import Overlay
    from routewright.tuning import Proposal

HOW = {
    "compared": "requests whose answers were judged beside the baseline's",
    "weighted": "requests with feedback, their choices drawn by chance",
}
_DIFFERENCE = (Column("setting"), Column("now"), Column("proposed"))


@click.command(
    "tune", short_help="Propose the cheapest policy that keeps a promise, from the ledger; apply and watch it."
)
@click.option(
    "--promise",
    metavar="TEXT",
    callback=promised,
    help='Such as "match gpt-4.1 within 2 %", which is also taken, of the baseline, when nothing is said.',
)
@click.option(
    "--confidence",
    type=Within(0.5, 0.999),
    metavar="SHARE",
    default=0.95,
    show_default=True,
    help="How sure the promise must be.",
)
@click.option(
    "--since", "since_ns", metavar="WHEN", callback=moment, help="From then on: 7d, 24h, 2w or 2026-11-01 (UTC)."
)
@click.option("--apply", "applies", is_flag=True, help="Put it in force as a new version; the one before is kept.")
@click.option(
    "--watch",
    "watches",
    is_flag=True,
    help="Check the promise in force as outcomes come, and fall back when it is broken; proposes only with --apply.",
)
@json_option
@settings_options
def command(
    promise: tuple[str, float] | None,
    confidence: float,
    since_ns: int | None,
    applies: bool,
    watches: bool,
    as_json: bool,
    config: Path | None,
    flags: Mapping[str, str],
) -> None:
    """Propose the cheapest policy that keeps a promise, from the ledger; apply and watch it.

    Thresholds, tiers and fallbacks are tried on past requests whose answers were judged: nobody is called. The exit
    code is 1 when nothing can be promised, and when a promise that is watched is broken. A gateway watches too.
    To propose needs the extra `evidence`.
    """
    if applies or not watches:
        _tune(promise, confidence, since_ns, applies, as_json, config, flags)
    if watches:
        _watch(settings_of(config, flags), as_json)


def _tune(
    promise: tuple[str, float] | None,
    confidence: float,
    since_ns: int | None,
    applies: bool,
    as_json: bool,
    config: Path | None,
    flags: Mapping[str, str],
) -> None:
    from routewright.decision.pledge import Pledge
    from routewright.ledger.experience import read_decisions
    from routewright.tuning import baseline_of, propose

    settings, registry = source_of(config, flags).load()
    with database_of(settings, read_only=not applies) as database:
        if database is None:
            raise TooFewOutcomes("the ledger is empty", hint="let the gateway serve, and have its answers judged")
        logged = read_decisions(database, since_ns or 0).logged
        standing = PolicyStore(database, SystemClock()).in_force().standings.get(settings.policy.name)
        now = NOTHING if standing is None else standing.version.overlay
        baseline, within = promise or (baseline_of(logged, settings), 0.02)
        proposal = propose(
            logged,
            settings,
            registry,
            baseline=registry.aliases.get(baseline, baseline),
            pledge=Pledge(within, confidence),
            now=now,
        )
        written = _applied(proposal, database, settings, standing) if applies else None
    if as_json:
        print_json({**msgspec.to_builtins(proposal), "overlay": _document(proposal), "applied": written})
    else:
        _show(proposal, settings, registry, now, written)
    if proposal.overlay is None:
        raise click.exceptions.Exit(1)


def _document(proposal: "Proposal") -> Mapping[str, object] | None:
    return None if proposal.overlay is None else document_of(proposal.overlay)


def _applied(proposal: "Proposal", database: "Database", settings: "Settings", standing: Standing | None) -> int | None:
    """The number of the new version; None where nothing can be promised."""
    from routewright.jobs.promise_watch import AUTHOR, Promised

    if proposal.overlay is None:
        return None
    saving = proposal.found.saving
    assert saving is not None, "a proposal saves something"
    evidence = Promised(
        baseline=proposal.baseline,
        within=proposal.pledge.within,
        confidence=proposal.pledge.confidence,
        saving=(saving.value, saving.low, saving.high),
        outcomes=proposal.found.outcomes,
        how=proposal.how,
        before=AS_SETTINGS if standing is None else standing.version.number,
    )
    return (
        PolicyStore(database, SystemClock())
        .apply(
            settings.policy.name,
            proposal.overlay,
            author=AUTHOR,
            evidence={"promise": msgspec.to_builtins(evidence)},
            reason=promise_text(proposal),
        )
        .number
    )


# ---- told -----------------------------------------------------------------------------------------------------------


def promise_text(proposal: "Proposal") -> str:
    """The promise in one line, with what it saves if it can be given."""
    pledge, saving = proposal.pledge, proposal.found.saving
    told = f"at most {pledge.within * 100:g} % worse than always {one_line(proposal.baseline)}"
    told = f"{told}, with {pledge.confidence * 100:g} % confidence"
    if saving is None:
        return told
    return f"{told}, saves {saving.value * 100:.0f} % ± {(saving.high - saving.low) * 50:.0f} %"


def _show(
    proposal: "Proposal", settings: "Settings", registry: "Registry", now: "Overlay", written: int | None
) -> None:
    found, name = proposal.found, settings.policy.name
    if proposal.overlay is None:
        click.echo(f"✗ no policy can be promised to be {promise_text(proposal)}")
        click.echo(f"  by {found.outcomes:,} {HOW[proposal.how]}; {proposal.tried:,} policies tried")
        if found.needed is None:
            click.echo(
                "  none of them seems so far to keep it and to save anything; other models or a looser promise may"
            )
        else:
            click.echo(f"  needs about {_rounded(found.needed - found.outcomes):,} more, as it looks now")
        if proposal.how == "weighted":
            click.echo("  answers judged beside the baseline's (shadow) tell far more, each")
        if proposal.fewest is None:
            click.echo("  and of a policy that is just as good, no number of them proves that nothing is lost")
        else:
            click.echo(f"  and never fewer than {proposal.fewest:,} in all, even for a policy that is never worse")
        return
    click.echo(f"✓ {promise_text(proposal)}")
    click.echo(f"  by {found.outcomes:,} {HOW[proposal.how]}; {proposal.tried:,} policies tried")
    click.echo(f"  mean score  {found.quality:.3f}; always {one_line(proposal.baseline)}: {found.baseline_quality:.3f}")
    click.echo(f"  goes to     {_told(proposal.shares)}")
    click.echo(f"  now         {_told(proposal.shares_now)}, which saves {proposal.saving_now:.0%}")
    click.echo()
    if difference := _difference(now, proposal.overlay, settings, registry):
        print_table(_DIFFERENCE, difference)
    else:
        click.echo("  the policy in force is the cheapest that keeps it: nothing is to be changed")
    click.echo()
    if written is None:
        click.echo(f"--apply puts it in force as a new version of policy {name}")
    else:
        click.echo(f"in force as version {written} of policy {name}; back by `routewright policies rollback {name}`")


def _rounded(number: int) -> int:
    """To two digits: it is a guess."""
    return max(int(float(f"{number:.2g}")), 10)


def _told(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{one_line(model)} {share:.0%}" for model, share in sorted(shares.items(), key=lambda it: -it[1]))


def _difference(
    now: "Overlay", proposed: "Overlay", settings: "Settings", registry: "Registry"
) -> list[tuple[str, str, str]]:
    """What decides, where it changes."""
    before, after = (_effective(overlay, settings, registry) for overlay in (now, proposed))
    return [(key, before[key], after[key]) for key in after if before[key] != after[key]]


def _effective(overlay: "Overlay", settings: "Settings", registry: "Registry") -> dict[str, str]:
    decided = applied(settings.policy.name, overlay, settings, registry)
    policy, match = decided.policy, decided.policy.match
    told: dict[str, object] = {
        "quality": None if match is None else f"match {match.model} within {match.within * 100:g} %",
        "min_quality": policy.min_quality,
        "success_value_usd": decided.settings.policy.success_value_usd,
        "caution": policy.caution,
        "confidence_threshold": policy.confidence_threshold,
        "models": ", ".join(sorted(policy.models)) or "all",
    }
    for name, model in decided.registry.models.items():
        told[f"tiers.{name}"] = model.tier.value
        told[f"fallbacks.{name}"] = ", ".join(model.fallbacks) or None
    return {key: "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            for key, value in told.items()}  # fmt: skip


# ---- watched --------------------------------------------------------------------------------------------------------


def _watch(settings: "Settings", as_json: bool) -> None:
    from routewright.jobs.promise_watch import LOOK_EVERY_S, PromiseWatch

    with database_of(settings, read_only=False) as database:
        watch = None if database is None else PromiseWatch(database, SystemClock())
        seen: dict[str, int] = {}
        while True:
            states = [] if watch is None else watch.look()
            if not states:
                raise NoPromise(
                    "no policy in force carries a promise", hint="put one in force: routewright tune --apply"
                )
            for state in states:
                if seen.get(state.version.name) != state.watch.outcomes:
                    seen[state.version.name] = state.watch.outcomes
                    _tell(state, as_json)
            if any(state.watch.is_broken for state in states):
                raise click.exceptions.Exit(1)
            time.sleep(LOOK_EVERY_S)


def _tell(state: "State", as_json: bool) -> None:
    version, promise, watch = state.version, state.promise, state.watch
    if as_json:
        print_json_line(
            {
                "policy": version.name,
                "version": version.number,
                "comparisons": watch.outcomes,
                "evidence": round(watch.most, 4),
                "broken": watch.is_broken,
            }
        )
        return
    told = f"at most {promise.within * 100:g} % worse than {one_line(promise.baseline)}"
    by = f"by {counted(watch.outcomes, 'comparison')} since it was put in force"
    if watch.is_broken:
        click.echo(f"✗ {version.name}, version {version.number}: no longer {told}, {by}: it is taken back")
    else:
        say(f"✓ {version.name}, version {version.number}: {told}, {by}")
