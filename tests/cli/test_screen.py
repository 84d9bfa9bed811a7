import json

import pytest

from routewright.cli import screen
from routewright.cli.screen import Column, print_json, print_table


def test_json_escapes_what_a_terminal_would_obey_and_keeps_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"text": "a\x1b[31m\x9b2J\u202eb — Grüße"}
    print_json(value)
    shown = capsys.readouterr().out
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
    assert "Grüße" in shown
    assert json.loads(shown) == value


def test_table_takes_its_cells_literally(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Column("name"), Column("cost", is_number=True)], [("[bold]x[/bold]", "$1"), (":smile:\x1b[2J", "$10")])
    assert capsys.readouterr().out.splitlines() == [
        "  name             cost",
        "  [bold]x[/bold]     $1",
        "  :smile:           $10",
    ]


def test_table_is_not_cut_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    wide = "x" * 200
    print_table([Column("what")], [(wide,)], total=("all",))
    assert capsys.readouterr().out.splitlines() == ["  what", f"  {wide}", "  all"]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_figures_and_their_titles_are_whole_however_narrow_a_terminal_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setattr(screen, "is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    titles = [Column("model"), *(Column(f"figure {at}", is_number=True) for at in range(8))]
    figures = [f"$0.{at}23456" for at in range(8)]
    print_table(titles, [("a-model-with-a-long-name", *figures)], total=("all", *figures))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    shown = " ".join(" ".join(lines).split())
    assert all(shown.count(figure) == 2 for figure in figures)
    assert all(title in shown for title in ("a-model-with-a-long-name", "figure 7"))
