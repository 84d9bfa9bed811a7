"""F1: no row of the catalogue is without a test, and no test names a row that there is not."""

from pathlib import Path

import pytest
from rows import ROWS, by_row, missing, table


def test_every_row_has_a_test_that_names_it() -> None:
    assert missing() == []


def test_every_id_in_a_test_s_name_is_a_row() -> None:
    assert sorted(by_row().keys() - ROWS.keys()) == []


def test_a_row_without_a_test_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "tests"
    folder.mkdir()
    names = [f"test_{row.lower()}_something" for row in ROWS if row != "U05"]
    text = "\n".join(f"async def {name}(): ..." for name in names)
    (folder / "test_all.py").write_text(text + "\ndef help_u05_(): ...\n# test_u05_only_in_words\n")
    assert missing(folder) == ["U05"]
    assert by_row(folder)["U06"] == ["tests/test_all.py::test_u06_something"]
    assert "| U05 | silence before the first word | none |" in table(folder)


@pytest.mark.parametrize(
    ("letter", "count"), [("U", 27), ("C", 16), ("S", 12), ("K", 6), ("T", 2), ("R", 5), ("M", 7), ("X", 17)]
)
def test_the_catalogue_is_whole(letter: str, count: int) -> None:
    assert [row for row in ROWS if row[0] == letter] == [f"{letter}{number:02}" for number in range(1, count + 1)]
