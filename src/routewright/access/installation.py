"""The installation's own secret: with it keys become HMACs, so that a stolen database opens no door."""

import hmac
import os
from pathlib import Path

from routewright.errors import SettingsError
from routewright.secret import Secret

FILE = "access.secret"
"""Beside the ledger, with mode 0600, where the settings name no secret."""
LEAST_CHARS = 32
_OTHERS = 0o077
_MAX_FILE_BYTES = 4096


class Signer:
    """Makes HMACs of keys. Its secret is not shown by `repr`, and leaves it nowhere."""

    __slots__ = ("_secret", "fingerprint")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.fingerprint = self.sign("fingerprint of the installation's secret")[:32]
        """Says whether two are the same, and nothing else of them."""

    def sign(self, text: str) -> str:
        """HMAC-SHA-256 in hex."""
        return hmac.digest(self._secret, text.encode(), "sha256").hex()


class Installation:
    """Where the secret is: in the settings (`access.secret`), else in a file beside the ledger."""

    def __init__(self, given: Secret | None, folder: Path) -> None:
        self._given = given
        self._path = folder / FILE

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return str(self._path) if self._given is None else "access.secret"

    def existing(self) -> Signer | None:
        """By the secret that there is; None if none was ever made. Raises SettingsError if it cannot be used."""
        if self._given is not None:
            return Signer(_long_enough(self._given.reveal(), "access.secret"))
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(_MAX_FILE_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SettingsError(f"{self._path}: {error.strerror}", hint="check who owns it") from error
        if mode & _OTHERS:
            raise SettingsError(
                f"{self._path} can be read or changed by others (mode {mode & 0o777:04o})",
                hint=f"run `chmod 600 {self._path}`; if others may have read it, remove it and make all keys anew",
            )
        return Signer(_long_enough(content.decode("ascii", "replace").strip(), str(self._path)))

    def signer(self) -> Signer:
        """By the secret that there is, or by one that is made now. Raises SettingsError."""
        return self.existing() or self._make()

    def _make(self) -> Signer:
        """Whole or not at all; of two processes that do it at once, the first one's counts for both."""
        new = self._path.with_name(f".{FILE}.{os.urandom(4).hex()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(os.urandom(32).hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                self._path.hardlink_to(new)
            except FileExistsError:
                pass
            finally:
                new.unlink()
        except OSError as error:
            raise SettingsError(f"{self._path}: {error.strerror}", hint="check who owns its folder") from error
        made = self.existing()
        assert made is not None
        return made


def _long_enough(text: str, place: str) -> bytes:
    if len(text) < LEAST_CHARS:
        raise SettingsError(
            f"{place} has {len(text)} characters, which is too short to be a secret",
            hint="take 32 random bytes: openssl rand -hex 32",
        )
    return text.encode()
