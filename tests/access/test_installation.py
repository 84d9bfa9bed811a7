import threading
from pathlib import Path

import pytest

from routewright.access.installation import Installation, Signer
from routewright.errors import SettingsError
from routewright.secret import Secret

GIVEN = Secret("0123456789abcdef0123456789abcdef")


def test_the_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "ledger"
    assert Installation(None, folder).existing() is None
    made = Installation(None, folder).signer()
    assert Installation(None, folder).signer().fingerprint == made.fingerprint
    assert [path.name for path in folder.iterdir()] == ["access.secret"]
    assert (folder / "access.secret").stat().st_mode & 0o777 == 0o600


def test_two_processes_that_make_it_at_once_agree(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(Installation(None, tmp_path).signer().fingerprint))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert len(set(found)) == 1


def test_one_of_the_settings_is_used_and_no_file_made(tmp_path: Path) -> None:
    assert Installation(GIVEN, tmp_path).signer().fingerprint == Signer(GIVEN.reveal().encode()).fingerprint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "short\n"])
def test_a_secret_that_is_too_short_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "access.secret").write_text(content)
    (tmp_path / "access.secret").chmod(0o600)
    with pytest.raises(SettingsError, match="too short to be a secret"):
        Installation(None, tmp_path).existing()
    with pytest.raises(SettingsError, match=r"access\.secret has 5 characters"):
        Installation(Secret("short"), tmp_path).existing()


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    Installation(None, tmp_path).signer()
    (tmp_path / "access.secret").chmod(0o644)
    with pytest.raises(SettingsError, match="others"):
        Installation(None, tmp_path).existing()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"access\.secret"):
        Installation(None, tmp_path / "file").signer()


def test_x14_a_signer_shows_nothing_of_its_secret() -> None:
    signer = Signer(GIVEN.reveal().encode())
    assert GIVEN.reveal() not in repr(signer) + signer.fingerprint
    assert signer.sign("one") != signer.sign("two")
    assert len(signer.sign("one")) == 64
