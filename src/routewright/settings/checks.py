"""The checks and the cascade that the settings name, and what is wrong with them."""

from collections.abc import Iterator, Mapping

from routewright.check import AGREEMENT, Check, CheckKind
from routewright.decision.cascading import Applied, CascadePolicy
from routewright.decision.languages import LANGUAGES
from routewright.decision.schemas import SchemaRefused, library
from routewright.settings.given import did_you_mean
from routewright.settings.places import KeyPath
from routewright.settings.schema import CascadeSettings, CheckSettings

_NEEDS = {
    CheckKind.JSON_SCHEMA: "schema",
    CheckKind.REGEX: "pattern",
    CheckKind.LANGUAGE: "language",
    CheckKind.PLUG_IN: "plug_in",
}
"""What a kind is nothing without."""


_OF_SCHEMAS = frozenset({CheckKind.RESPONSE_FORMAT, CheckKind.TOOL_CALL})
"""Kinds whose schema comes with the request; that of `json_schema` is read where it stands."""


def check_mistakes(checks: Mapping[str, CheckSettings], cascade: CascadeSettings) -> Iterator[tuple[KeyPath, str]]:
    """Where something is wrong, and what."""
    for name, check in checks.items():
        path, needed = ("checks", name), _NEEDS.get(check.kind)
        if name == AGREEMENT:
            yield path, "this name is for answers that are compared; take another"
        if needed is not None and getattr(check, needed) is None:
            yield (*path, "kind"), f"{needed} is missing, without which there is nothing to check"
        if check.kind in _OF_SCHEMAS:
            yield from _without_schemas(path)
        if check.language is not None and check.language not in LANGUAGES:
            near = did_you_mean(check.language, LANGUAGES)
            yield (*path, "language"), f'"{check.language}" is not known; there are {", ".join(LANGUAGES)}{near}'
        if check.max_chars is not None and check.max_chars < check.min_chars:
            yield (*path, "max_chars"), f"nothing has {check.min_chars:,} characters and at most {check.max_chars:,}"
    if len(cascade.agreement) > 2:
        yield ("cascade", "agreement"), "names one model, which is asked twice, or two"


def _without_schemas(path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """That what reads schemas is missing, if it is."""
    try:
        library("kind")
    except SchemaRefused as error:
        yield (*path, "kind"), str(error).removeprefix("kind: ")


def cascade_policy(checks: Mapping[str, CheckSettings], cascade: CascadeSettings) -> CascadePolicy:
    """What the decision needs of it."""
    return CascadePolicy(
        steps=cascade.steps,
        max_turns=cascade.max_turns,
        buffers_streams=cascade.streams == "buffer",
        checks=tuple(
            Applied(_check(name, check), frozenset(check.routes), frozenset(check.keys))
            for name, check in checks.items()
        ),
        agreement=cascade.agreement,
        tasks=frozenset(cascade.agreement_tasks),
        tiers=frozenset(cascade.agreement_tiers),
    )


def _check(name: str, check: CheckSettings) -> Check:
    return Check(
        name=name,
        kind=check.kind,
        schema=check.schema or "",
        pattern=check.pattern or "",
        forbidden=check.forbidden,
        least_chars=check.min_chars,
        most_chars=check.max_chars,
        language=check.language or "",
        tool=check.tool or "",
        plug_in=check.plug_in or "",
        is_trusted=True,
    )
