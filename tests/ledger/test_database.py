"""What both databases have in common; what each promises is in the tests of their own."""

import pytest

from routewright.errors import SchemaRefused
from routewright.ledger.database import (
    Migration,
    Row,
    Table,
    migration_failed,
    migrations,
    refuse_newer,
    refuse_older,
    tables_of,
)


def column(table: str, name: str, key_place: int = 0) -> Row:
    return {"table_name": table, "column_name": name, "key_place": key_place}


def test_tables_are_made_of_their_columns_with_the_key_in_its_own_order() -> None:
    rows = [
        column("windows", "starts_ns", 2), column("windows", "budget", 1), column("windows", "posted"),
        column("unread", "payload"),
        column("alerts", "name", 1),
    ]  # fmt: skip
    assert tables_of(rows) == [
        Table("alerts", ("name",), ("name",)),
        Table("unread", ("payload",), ()),
        Table("windows", ("starts_ns", "budget", "posted"), ("budget", "starts_ns")),
    ]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_steps_of_the_schema_are_numbered_without_a_gap(kind: str) -> None:
    steps = migrations(kind)
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert all(step.sql.strip() for step in steps)


def test_a_schema_is_refused_only_where_it_is_another() -> None:
    refuse_newer("x.db", 5, 5)
    refuse_older("x.db", 5, 5)
    with pytest.raises(SchemaRefused, match="schema 6, this one knows 5"):
        refuse_newer("x.db", 6, 5)
    with pytest.raises(SchemaRefused, match="schema 1, this one reads 5"):
        refuse_older("x.db", 1, 5)
    with pytest.raises(SchemaRefused, match="there is no ledger in"):
        refuse_older("x.db", 0, 5)


def test_a_step_that_failed_is_told_by_the_first_line_of_what_the_database_said() -> None:
    told = migration_failed("x.db", Migration(3, ""), ValueError("no such table: a\nLINE 1: …")).message
    assert told == "the ledger x.db could not be brought to schema 3: no such table: a; it is as it was before"
