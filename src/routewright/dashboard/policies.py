"""Which policies are in force, what their versions changed, and what was put in force when."""

import difflib
from collections.abc import Sequence
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from routewright.dashboard.listing import Column, Kind, Listing
from routewright.dashboard.parameters import Parameters
from routewright.dashboard.view import Desk, View
from routewright.errors import PolicyNotFound
from routewright.policies.overlay import document_of
from routewright.policies.store import AS_SETTINGS, MOST_VERSIONS, Change, PolicyStore, Version
from routewright.policies.telling import PolicyTold, told
from routewright.settings.schema import Overlay

MOST_SHOWN = 50
"""The latest versions of a policy, and the latest changes."""


class Line(Struct, frozen=True):
    """Of a difference: `added`, `removed`, or empty for what both have."""

    kind: str
    text: str


def read(desk: Desk, asked: Parameters) -> View:
    """Two questions: the latest versions of one policy, and the latest changes of all."""
    plan = desk.engine.plan
    policies = told(plan)
    name = asked.text("policy") or plan.base.policy.name
    store = PolicyStore(desk.ledger.database, desk.clock)
    versions = store.latest_versions(name, MOST_SHOWN)
    in_force = next((each for each in policies if each.name == name), None)
    if in_force is None and not versions:
        raise PolicyNotFound(f"no policy is called {name[:64]!r}")
    force = in_force.number if in_force is not None else AS_SETTINGS
    left, right = asked.whole("from", MOST_VERSIONS), asked.whole("to", MOST_VERSIONS)
    right = (versions[0].number if versions else AS_SETTINGS) if right is None else right
    left = max(AS_SETTINGS, right - 1) if left is None else left
    as_set = desk.engine.settings.policies.get(name, Overlay())
    tables = (_policies(policies), _versions(name, versions, force), _changes(store.latest_changes(MOST_SHOWN)))
    values = {
        "policies": tables[0],
        "versions": tables[1],
        "changes": tables[2],
        "is_off": plan.is_off,
        "name": name,
        "back_to": max(AS_SETTINGS, force - 1),
        "numbers": [AS_SETTINGS, *sorted(version.number for version in versions)],
        "left": left,
        "right": right,
        "difference": difference(_overlay(store, name, left, as_set), _overlay(store, name, right, as_set)),
    }
    return View(title=f"Policy {name}", template="policies.html", values=values, listings=tables)


def difference(before: Overlay, after: Overlay) -> list[Line]:
    """What another version of a policy says beside the one before, line by line."""
    kinds = {"- ": "removed", "+ ": "added", "  ": ""}
    lines = difflib.ndiff(_lines(before), _lines(after))
    return [Line(kinds[line[:2]], line[2:]) for line in lines if line[:2] in kinds]


def _lines(overlay: Overlay) -> list[str]:
    return (
        msgspec.json.format(msgspec.json.encode(document_of(overlay), order="sorted"), indent=2).decode().splitlines()
    )


def _overlay(store: PolicyStore, name: str, number: int, as_set: Overlay) -> Overlay:
    """Of a version; of none, what the settings say. Raises PolicyNotFound."""
    return as_set if number == AS_SETTINGS else store.version(name, number).overlay


def _policies(policies: Sequence[PolicyTold]) -> Listing:
    return Listing(
        name="policies",
        title="In force",
        columns=(
            Column("policy", "policy"),
            Column("version", "version"),
            Column("number", "number", Kind.COUNT),
            Column("share", "share", Kind.SHARE),
            Column("role", "is"),
            Column("trouble", "trouble"),
        ),
        rows=[
            (
                each.name,
                each.version,
                each.number,
                round(10 * each.share),
                "the base" if each.is_base else "a policy",
                each.trouble,
            )
            for each in policies
        ],
        links=[f"/ui/policies?{urlencode({'policy': each.name})}" for each in policies],
        note="Number 0 is what the settings say.",
    )


def _versions(name: str, versions: Sequence[Version], in_force: int) -> Listing:
    return Listing(
        name="versions",
        title=f"Versions of {name}",
        columns=(
            Column("number", "number"),
            Column("at", "written (UTC)", Kind.TIME),
            Column("author", "by"),
            Column("digest", "digest"),
            Column("state", "state"),
        ),
        rows=[
            (
                str(each.number),
                each.at_ns,
                each.author,
                each.digest or None,
                "in force" if each.number == in_force else None,
            )
            for each in versions
        ],
        links=[f"/ui/policies?{urlencode({'policy': name, 'to': each.number})}" for each in versions],
        note=f"The latest {MOST_SHOWN}." if len(versions) == MOST_SHOWN else "",
    )


def _changes(changes: Sequence[Change]) -> Listing:
    return Listing(
        name="changes",
        title="What was put in force",
        columns=(
            Column("at", "time (UTC)", Kind.TIME),
            Column("change", "change"),
            Column("policy", "policy"),
            Column("number", "number", Kind.COUNT),
            Column("author", "by"),
            Column("reason", "why"),
        ),
        rows=[
            (each.at_ns, each.kind, each.name or "(all)", each.number, each.author, each.reason or None)
            for each in changes
        ],
        note=f"The latest {MOST_SHOWN}." if len(changes) == MOST_SHOWN else "",
    )
