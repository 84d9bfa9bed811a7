"""X14, F10: secrets that are easy to find are looked for in everything that a gateway says and writes."""

import base64
from pathlib import Path

import pytest
from canaries import CANARIES, FAULTS, VERBS, Hunt, measure

from routewright.secret import Secret


def test_x14_no_secret_and_no_prompt_is_in_anything_that_is_said_or_written(tmp_path: Path) -> None:
    hunted = measure(tmp_path)
    assert hunted.found == ()
    assert hunted.canaries == len(CANARIES) + 4
    used = {*CANARIES, "virtual key", *FAULTS} - {"access secret", "database password"}
    assert {name for name in used if not hunted.reached.get(name)} == set(), "each was where it could be lost"
    assert hunted.reached["verbs"] == len(VERBS)
    assert hunted.reached["log, debug, JSON"] == hunted.reached["log, debug, pretty"] == 1, "a bug was told in the log"
    assert not [surface for surface, size in hunted.surfaces.items() if size < 20]
    assert len(hunted.surfaces) > len(VERBS) + 20
    assert hunted.surfaces["files after a kill: journal"] > 1000


async def test_x14_a_secret_that_shows_itself_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Secret, "__repr__", Secret.reveal)
    hunt = Hunt(tmp_path)
    await hunt.log_all()
    assert {"repr: provider key", "repr: server key", "repr: key made inside"} <= set(hunt.found())


def test_x14_a_secret_is_found_in_every_form_that_can_be_turned_back(tmp_path: Path) -> None:
    secret = CANARIES["provider key"]
    shown = [secret, secret[16:], secret.encode().hex(), secret.replace("-", "%2D")]
    shown += [
        base64.b64encode(f"{before}{secret}{after}".encode()).decode()
        for before in ("", "k", ":k")
        for after in ("", "!")
    ]
    for text in shown:
        hunt = Hunt(tmp_path)
        hunt.keep("log", f"a line with {text} in it")
        assert hunt.found() == ("log: provider key",), text
    hunt = Hunt(tmp_path)
    hunt.keep("log", "sk-canary*** and Secret(***)")
    assert hunt.found() == ()
