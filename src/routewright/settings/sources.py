"""Where settings come from: flags, the environment, two files, the built-in file. Each is read into one flat form."""

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from routewright.errors import SettingsError
from routewright.settings.places import KeyPath, places_of

MAX_FILE_BYTES = 1024 * 1024
PREFIX = "ROUTEWRIGHT_"
BUILT_IN = Path(__file__).parents[1] / "catalog" / "defaults.toml"

ALIASES: Mapping[str, KeyPath] = {
    "ROUTING_CONFIDENCE": ("policy", "confidence_threshold"),
    "ROUTING_MAX_RETRIES": ("policy", "max_retry_attempts"),
    "BATCH_CONCURRENCY": ("policy", "batch_concurrency"),
    "COST_ALERT_THRESHOLD": ("policy", "cost_alert_threshold"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("telemetry", "endpoint"),
    "OTEL_SERVICE_NAME": ("telemetry", "service_name"),
}
"""Names of environment variables from the original policy, and of OpenTelemetry."""

CONFIG_VARIABLE = "ROUTEWRIGHT_CONFIG"
ConfigPlace: TypeAlias = Path | str
"""Of the project's settings: a file's path, or an address."""

DEEPEST = 5
"""One level below the deepest key there is, so that a table in place of a value shows."""

MOST_KEY_PARTS = 64
_ENDLESS_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){{{MOST_KEY_PARTS}}}""")
"""A dotted key of more parts takes tomllib time by their square: half a million fit into a file, and take hours."""


class Origin(Struct, frozen=True):
    """Where a value came from; `str()` is what `config show --origin` prints: `routewright.toml:12`."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"

    @property
    def exact(self) -> str:
        """With the column, for messages: `routewright.toml:12:1`."""
        return str(self) if self.column is None else f"{self}:{self.column}"


DEFAULT = Origin("default")


class Source(Struct, frozen=True, kw_only=True):
    """What one place says: its values, and the origin of each of them and of each table above one."""

    values: Mapping[KeyPath, object]
    origins: Mapping[KeyPath, Origin]
    is_text: bool = False
    """Numbers and lists may come as text, because here everything does."""

    def origin(self, path: KeyPath) -> Origin:
        """Where a value or table came from: its own place, or that of what it stands in."""
        for depth in range(len(path), 0, -1):
            if path[:depth] in self.origins:
                return self.origins[path[:depth]]
        return DEFAULT


def config_place(config: ConfigPlace | None, environ: Mapping[str, str]) -> ConfigPlace | None:
    """Where the project's settings are, if that is said: a `str` for an address, a `Path` for a file."""
    named = config or environ.get(CONFIG_VARIABLE)
    if named is None or isinstance(named, Path) or is_address(named):
        return named or None
    return Path(named)


def is_address(text: str) -> bool:
    """Whether a text is an address, and not a path."""
    return "://" in text


class FileStamp(Struct, frozen=True):
    """What changes when a file changes."""

    mtime_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "FileStamp | None":
        """The stamp of a file, None while there is none. Taken *before* reading, it misses no change."""
        try:
            status = path.stat()
        except OSError:
            return None
        return cls(status.st_mtime_ns, status.st_size, status.st_ino)


class Folders(Struct, frozen=True):
    """The user's own folders for us, by the XDG base directory specification."""

    config: Path
    data: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Folders":
        """As XDG_CONFIG_HOME, XDG_DATA_HOME and HOME say."""
        home = Path(environ.get("HOME") or Path.home())

        def folder(variable: str, otherwise: str) -> Path:
            named = Path(environ.get(variable, ""))
            return (named if named.is_absolute() else home / otherwise) / "routewright"

        return cls(config=folder("XDG_CONFIG_HOME", ".config"), data=folder("XDG_DATA_HOME", ".local/share"))

    @property
    def settings_file(self) -> Path:
        """The user's settings."""
        return self.config / "routewright.toml"

    @property
    def keys_file(self) -> Path:
        """The user's stored keys."""
        return self.config / "keys.toml"


@cache  # it does not change while a process runs, and settings are read again whenever one of their files does
def built_in() -> Source:
    """The file that comes with the package."""
    return Source(values=dict(flat(_parse(BUILT_IN.read_text(encoding="utf-8"), BUILT_IN.name))), origins={})


def from_file(path: Path, shown_as: str, *, is_required: bool = False) -> Source:
    """A settings file; empty if there is none and it is not required.

    Raises SettingsError for one that cannot be read, is over 1 MiB, is not UTF-8 or not TOML.
    """
    try:
        content = read_bounded(path, shown_as)
    except FileNotFoundError:
        if is_required:
            raise SettingsError(f"{shown_as}: there is no such file", hint="check --config") from None
        return Source(values={}, origins={})
    except OSError as error:
        raise SettingsError(f"{shown_as}: cannot be read: {error.strerror}") from error
    return from_content(content, shown_as)


def from_content(content: bytes, shown_as: str) -> Source:
    """What a settings file has in it. Raises SettingsError if it is not UTF-8 or not TOML."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{shown_as}:{line}: is not UTF-8", hint="save the file as UTF-8") from None
    try:
        values = dict(flat(_parse(text, shown_as)))
        places = places_of(text)
    except RecursionError:
        raise SettingsError(f"{shown_as}: is nested too deeply") from None
    return Source(
        values=values,
        origins={path: Origin(shown_as, place.line, place.column) for path, place in places.items()},
    )


def from_environment(environ: Mapping[str, str]) -> Source:
    """What ROUTEWRIGHT_SECTION__KEY and the original names say; of two names of a setting, ROUTEWRIGHT_… wins."""
    paths = {name: path for name, path in ALIASES.items() if name in environ}
    for name in sorted(environ):
        if name.startswith(PREFIX) and "__" in name:
            paths[name] = tuple(name.removeprefix(PREFIX).lower().split("__"))
    values: dict[KeyPath, object] = {path: environ[name] for name, path in paths.items()}
    origins = {part: Origin(f"environment {name}") for name, path in paths.items() for part in _with_tables(path)}
    return Source(values=values, origins=origins, is_text=True)


def from_flags(flags: Mapping[str, object]) -> Source:
    """What the command line says: dotted keys with their values, None for an option that was not given.

    An option has the name of the last part of its key: `--port` for `server.port`.
    """
    given = {tuple(key.split(".")): value for key, value in flags.items() if value is not None}
    origins = {part: Origin(f"flag --{path[-1].replace('_', '-')}") for path in given for part in _with_tables(path)}
    return Source(values=given, origins=origins, is_text=True)


def misspelt_variables(environ: Mapping[str, str], known: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Variables that mean a setting but have a single underscore where two belong, each with its right name."""
    meant = {name.replace("_", ""): name for name in known}
    for name in sorted(environ):
        right = meant.get(name.replace("_", ""))
        if right and name.startswith(PREFIX) and "__" not in name:
            yield name, right


def variable_of(path: KeyPath) -> str:
    """The environment variable of a setting."""
    return PREFIX + "__".join(path).upper()


def read_bounded(path: Path, shown_as: str) -> bytes:
    """A file of settings. Raises SettingsError if it is over 1 MiB or no regular file, OSError if it cannot be read."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # opening a named pipe would wait otherwise
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise SettingsError(f"{shown_as}: is not a file", hint="check the path")
        if status.st_size > MAX_FILE_BYTES:
            raise SettingsError(f"{shown_as}: is over 1 MiB; that is no settings file", hint="check the path")
        return file.read(MAX_FILE_BYTES)


def write_private(path: Path, content: bytes) -> None:
    """A file for this user only, whole or not at all. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _parse(text: str, shown_as: str) -> dict[str, object]:
    if _ENDLESS_KEY.search(text):
        raise SettingsError(f"{shown_as}: is nested too deeply")
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except (ValueError, ArithmeticError) as error:  # ArithmeticError: a number that Decimal refuses
        raise SettingsError(_told(str(error), shown_as)) from None


def _told(problem: str, shown_as: str) -> str:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", problem, re.DOTALL)
    what = match[1] if match else problem
    place = f"{shown_as}:{match[2]}:{match[3]}" if match and match[2] else shown_as
    if what.startswith(("Cannot overwrite", "Cannot declare")):
        return f"{place}: this key or table stands twice"
    return f"{place}: is not TOML: {what}"


def flat(table: Mapping[str, object], above: KeyPath = ()) -> Iterator[tuple[KeyPath, object]]:
    """Every value with its path; an empty table counts as a value, so that it is seen too."""
    for name, value in table.items():
        path = (*above, name)
        if isinstance(value, dict) and value and len(path) < DEEPEST:
            yield from flat(value, path)
        else:
            yield path, value


def _with_tables(path: KeyPath) -> Iterator[KeyPath]:
    """A path and those of the tables it is in."""
    return (path[:depth] for depth in range(1, len(path) + 1))
