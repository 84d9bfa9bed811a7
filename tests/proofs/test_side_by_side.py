from routewright.proofs.figure import Figure
from routewright.proofs.side_by_side import NOTE, SETTINGS, side_by_side


def figure(name: str, what: str, measured: str, *, is_text: bool = False) -> Figure:
    run = "" if is_text else "today"
    return Figure(name=name, what=what, bar="", measured=measured, has_passed=True, run=run, is_text=is_text)


def test_each_trial_has_a_row_and_each_gateway_a_column() -> None:
    found = [figure("ours", "cut", "0 of 20"), figure("theirs", "cut", "20 | of 20"), figure("theirs", "speed", "9")]
    assert list(side_by_side(found))[1:5] == [
        "| trial | ours | theirs |",
        "|---|---|---|",
        "| cut | 0 of 20 | 20 \\| of 20 |",
        "| speed |  | 9 |",
    ]


def test_notes_and_settings_stand_below_and_settings_are_folded() -> None:
    found = [
        figure("ours", "cut", "0"),
        figure("theirs", NOTE, "left out, as it is not here", is_text=True),
        figure("ours", SETTINGS, "ours 1.0, trials of faults\nserve\n\n# file\nkey = 1", is_text=True),
    ]
    page = "\n".join(side_by_side(found))
    assert "* today\n* theirs: left out, as it is not here\n" in page
    assert "<summary>ours 1.0, trials of faults</summary>\n\n```text\nserve\n\n# file\nkey = 1\n```" in page
    assert page.count("| ours |") == 1
