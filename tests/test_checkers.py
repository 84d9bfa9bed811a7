"""Checks from other packages: found by their entry point, and never the reason that an answer is lost."""

from pathlib import Path
from typing import Any

import pytest

from builders import attempt, call, reply
from routewright import checkers
from routewright.checkers import load_checks
from routewright.errors import SettingsError
from routewright.reply import NOT_CHARGED, Draft

ANSWER = Draft().answer(reply(attempt()), NOT_CHARGED)
SETTING = "checks.mine.plug_in"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that brings three."""
    (tmp_path / "brought.py").write_text(
        "def polite():\n    return lambda answer, call: '' if 'please' in answer.text else 'it does not say please'\n"
        "def broken():\n    return lambda answer, call: 1 / 0\n"
        "def nothing():\n    return 1\n"
    )
    info = tmp_path / "brought-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1\n")
    points = "\n".join(f"{name} = brought:{name}" for name in ("polite", "broken", "nothing"))
    (info / "entry_points.txt").write_text(f"[{checkers.GROUP}]\n{points}\nmissing = brought:missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_check_of_another_package_says_what_is_wrong(package: Path) -> None:
    examine = load_checks([("polite", SETTING)])["polite"]
    assert examine(ANSWER, call()) == "it does not say please"


def test_one_that_fails_finds_nothing_and_is_told_once(package: Path, caplog: pytest.LogCaptureFixture) -> None:
    examine = load_checks([("broken", SETTING)])["broken"]
    assert [examine(ANSWER, call()) for _ in range(3)] == ["", "", ""]
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("polit", 'no check is called "polit"; there are: broken, missing, nothing, polite'),
        ("nothing", "makes no check"),
        ("missing", "cannot be loaded: AttributeError"),
    ],
)
def test_one_that_cannot_be_used_is_refused_with_the_setting(package: Any, name: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        load_checks([(name, SETTING)])
    assert refused.value.message.startswith(SETTING)
