"""[checks] and [cascade]: what is taken, and what is refused with its place."""

from pathlib import Path

import pytest

from desk import Desk
from routewright.check import CheckKind
from routewright.decision.cascading import CascadeStep
from routewright.errors import SettingsError
from routewright.settings.catalog import build_catalog
from routewright.settings.checks import cascade_policy


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_checks_and_the_cascade_are_read(desk: Desk) -> None:
    (desk.project / "invoice.json").write_text('{"type": "object"}')
    desk.write(
        f"""
[checks.invoice]
kind = "json_schema"
schema = "{desk.project}/invoice.json"
routes = ["complex"]
[checks.clean]
kind = "regex"
pattern = "(?i)password"
forbidden = true
keys = ["key-1"]
[cascade]
steps = ["escalate"]
agreement = ["gpt-5.5"]
"""
    )
    settings = desk.load({"OPENAI_API_KEY": "sk-1"})
    policy = cascade_policy(settings.checks, settings.cascade)
    invoice, clean = (applied.check for applied in policy.checks)
    assert (invoice.kind, invoice.schema, invoice.is_trusted) == (CheckKind.JSON_SCHEMA, '{"type": "object"}', True)
    assert (clean.pattern, clean.forbidden) == ("(?i)password", True)
    assert policy.steps == (CascadeStep.ESCALATE,)
    assert policy.is_used


def test_without_any_nothing_is_used(desk: Desk) -> None:
    settings = desk.load()
    assert not cascade_policy(settings.checks, settings.cascade).is_used


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ('kind = "json_schema"\nschema = "none.json"', "checks.it.schema: the schema 'none.json' cannot be read"),
        ('kind = "json_schema"\nschema = \'{"type": "nope"}\'', "checks.it.schema: the schema cannot be taken"),
        ('kind = "json_schema"\nschema = \'{"$ref": "http://x/y"}\'', "nothing is fetched"),
        ('kind = "regex"\npattern = "("', "checks.it.pattern: the pattern '(' cannot be taken"),
        ('kind = "regex"', "checks.it.kind: pattern is missing"),
        ('kind = "language"\nlanguage = "english"', 'checks.it.language: "english" is not known'),
        ('kind = "length"\nmin_chars = 5\nmax_chars = 4', "checks.it.max_chars: nothing has 5 characters"),
        ('kind = "lenght"', 'checks.it.kind: "lenght" is not "json_schema"'),
        ("routes = []", "checks.it.kind is missing"),
    ],
)
def test_a_mistake_is_refused_at_load_with_its_file_and_line(desk: Desk, lines: str, told: str) -> None:
    desk.write(f"[checks.it]\n{lines}\n")
    with pytest.raises(SettingsError) as refused:
        desk.load()
    assert told in refused.value.message
    assert "(routewright.toml:" in refused.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[cascade]\nagreement = ["gpt-5.4"]', 'cascade.agreement: no model is called "gpt-5.4" (routewright.toml:2:'),
        ('[checks.it]\nkind = "json"\nroutes = ["bluk"]', 'checks.it.routes: no model is called "bluk"'),
    ],
)
def test_a_model_that_nobody_knows_is_refused_once_all_are_found(desk: Desk, text: str, told: str) -> None:
    desk.write(text)
    with pytest.raises(SettingsError) as refused:
        build_catalog(desk.load(), simulate=True)
    assert told in refused.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[checks.agreement]\nkind = "json"', "checks.agreement: this name is for answers that are compared"),
        ('[cascade]\nagreement = ["a", "b", "c"]', "cascade.agreement: names one model"),
        ('[cascade]\nsteps = ["ask"]', "cascade.steps"),
        ("[cascade]\nmax_turns = 9", "cascade.max_turns"),
    ],
)
def test_a_mistake_in_names_and_the_cascade_is_told(desk: Desk, text: str, told: str) -> None:
    desk.write(text)
    with pytest.raises(SettingsError) as refused:
        desk.load()
    assert told in refused.value.message
