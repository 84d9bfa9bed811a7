"""Keys: settings only refer to them; they themselves are in the environment, or in a file of ours with mode 0600."""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Self

from routewright.errors import SettingsError
from routewright.secret import Secret, without_password
from routewright.settings.sources import write_private

MAX_STORE_BYTES = 1024 * 1024
OTHERS = 0o077

_REFERENCE = re.compile(
    r"(?:env:|os\.environ/)(?P<env>\w+(?:\|\w+)*)|\$\{(?P<braced>\w+)\}|keys:(?P<stored>[\w-]+)", re.ASCII
)
_NAME = re.compile(r"[\w-]{1,64}", re.ASCII)


def read_reference(value: object, path: str) -> str:
    """A reference to a key as `env:NAME` or `keys:NAME`; `${NAME}` and `os.environ/NAME` mean the former.

    `env:NAME|OTHER` means the first of these variables that is set.

    Raises ValueError for anything else: most likely that is the key itself, so it is not quoted.
    """
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        name = path.split(".")[-2]
        raise ValueError(
            f"{path}: a key itself must not stand in settings; "
            f'run `routewright keys set {name}` and write "keys:{name}" here, or write "env:VARIABLE"'
        )
    if match["stored"]:
        return f"keys:{match['stored']}"
    return f"env:{match['env'] or match['braced']}"


class Address:
    """An address of a server, or a reference to one; shown without its password. Subclasses say of which."""

    __slots__ = ("_text",)
    scheme: ClassVar[re.Pattern[str]]
    example: ClassVar[str]

    def __init__(self, text: str) -> None:
        self._text = text

    @classmethod
    def read(cls, value: object, path: str) -> Self:
        """An address, or a reference to one. Raises ValueError, which does not quote what was written."""
        if isinstance(value, cls):
            return value
        if isinstance(value, str) and cls.scheme.match(value):
            return cls(value)
        if not isinstance(value, str) or not _REFERENCE.fullmatch(value):
            raise ValueError(
                f"{path}: this is neither an address nor a reference to one; "
                f'write "{cls.example}", or "env:VARIABLE" or "keys:NAME" where it is kept'
            )
        return cls(read_reference(value, path))

    def resolve(self, environ: Mapping[str, str], stored: Mapping[str, Secret]) -> Secret | str:
        """The address itself, or why there is none."""
        if self.scheme.match(self._text):
            return Secret(self._text)
        address = resolve(self._text, environ, stored)
        if isinstance(address, Secret) and not self.scheme.match(address.reveal()):
            return f"{self._text} does not hold an address like {self.example}"
        return address

    def __str__(self) -> str:
        return without_password(self._text)

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


class DatabaseAddress(Address):
    """Of PostgreSQL."""

    __slots__ = ()
    scheme = re.compile(r"postgres(?:ql)?://", re.ASCII)
    example = "postgresql://user:password@host/database"


class RedisAddress(Address):
    """Of Redis, or of what speaks its protocol: Valkey, KeyDB, …"""

    __slots__ = ()
    scheme = re.compile(r"rediss?://|unix://", re.ASCII)
    example = "redis://user:password@host:6379/0"


def resolve(reference: str, environ: Mapping[str, str], stored: Mapping[str, Secret]) -> Secret | str:
    """The key that a reference means, or why there is none."""
    kind, _, name = reference.partition(":")
    if kind == "keys":
        return stored.get(name) or f"no key {name!r} is stored: run `routewright keys set {name}`"
    for variable in name.split("|"):
        if text := environ.get(variable, "").strip():
            return Secret(text) if _is_sendable(text) else f"the environment variable {variable} does not hold a key"
    first, *others = name.split("|")
    told = f"the environment variable {first} is {'empty' if first in environ else 'not set'}"
    return told + "".join(f", nor is {other}" for other in others)


def _is_sendable(text: str) -> bool:
    """Whether a text can stand in an HTTP header as one word."""
    return text.isascii() and text.isprintable() and " " not in text


class KeyStore:
    """The file of stored keys: readable by its owner only, replaced as a whole, its content never shown."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, name: str) -> Secret | None:
        """The key of that name, if there is one. Raises SettingsError as `load` does."""
        return self.load().get(name)

    def set(self, name: str, secret: Secret) -> None:
        """Store a key, in place of any of that name. Raises SettingsError for a name or key that cannot be."""
        if not _NAME.fullmatch(name):
            raise SettingsError(f"{name!r} cannot be the name of a key", hint="use letters, digits, - and _")
        if not secret.reveal() or not _is_sendable(secret.reveal()):
            raise SettingsError(
                f"the text given for {name} cannot be a key: it is empty, or not one word of ASCII characters",
                hint=f"copy the key again and run `routewright keys set {name}`",
            )
        self._write({**self.load(), name: secret})

    def remove(self, name: str) -> bool:
        """Forget a key; False if there was none of that name."""
        keys = dict(self.load())
        if name not in keys:
            return False
        del keys[name]
        self._write(keys)
        return True

    def load(self) -> Mapping[str, Secret]:
        """All keys by name. Raises SettingsError if others may read the file, or it is damaged."""
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if mode & OTHERS:
                    raise SettingsError(
                        f"{self.path} can be read or changed by others (mode {mode & 0o777:04o})",
                        hint=f"run `chmod 600 {self.path}`, and replace keys that others may have seen",
                    )
                content = file.read(MAX_STORE_BYTES)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SettingsError(f"{self.path}: {error.strerror}", hint="check who owns it") from error
        return self._parse(content)

    def _parse(self, content: bytes) -> Mapping[str, Secret]:
        try:
            keys = tomllib.loads(content.decode())
        except ValueError:  # its text would quote what is in the file
            keys = {"": None}
        if not all(isinstance(key, str) for key in keys.values()):
            raise SettingsError(
                f'{self.path} is damaged: it should have lines like NAME = "KEY" and nothing else',
                hint="remove it and store the keys again with `routewright keys set NAME`",
            )
        return {name: Secret(key) for name, key in keys.items()}

    def _write(self, keys: Mapping[str, Secret]) -> None:
        lines = "".join(f"{name} = {json.dumps(secret.reveal())}\n" for name, secret in sorted(keys.items()))
        write_private(self.path, lines.encode("ascii"))
