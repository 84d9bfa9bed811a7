"""The program's log: for people on a terminal, one JSON object a line elsewhere; on stderr, never with prompts."""

import logging
import sys
import traceback
from datetime import UTC, datetime

import click
import msgspec

from routewright.text import plain

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
"""What every record has; what begins with an underline is other libraries' own."""
_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}
_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `logger`, `message`, what `extra` added, `error` (a traceback).

    And `worker`, its number, where there are several.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._who = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._who,
            **_added(record),
        }
        if record.exc_info:
            line["error"] = _traceback(record)
        return _encode(line).decode()


class Pretty(logging.Formatter):
    """`20:15:07 warning message  name=value`, in colour if wanted; `20:15:07 [2] …` of the second worker."""

    def __init__(self, *, is_coloured: bool, worker: int | None = None) -> None:
        super().__init__()
        self._is_coloured = is_coloured
        self._who = "" if worker is None else f" [{worker}]"

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback below it."""
        level = record.levelname.lower()
        if self._is_coloured:
            level = click.style(level, fg=_COLOURS.get(record.levelname))
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extra = "".join(f"  {name}={value}" for name, value in _added(record).items())
        error = f"\n{plain(_traceback(record))}" if record.exc_info else ""
        return f"{time}{self._who} {level} {plain(record.getMessage() + extra)}{error}"


def _added(record: logging.LogRecord) -> dict[str, object]:
    """What `extra` gave."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD and not name.startswith("_")}


def configure(*, level: int, no_color: bool, worker: int | None = None) -> None:
    """Have everything from `level` on written to stderr, in the form that suits what stderr is, by this worker."""
    is_terminal = sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Pretty(is_coloured=not no_color, worker=worker) if is_terminal else JsonLines(worker))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # that it starts and ends, we say ourselves


def _traceback(record: logging.LogRecord) -> str:
    return "".join(traceback.format_exception(*record.exc_info)).rstrip() if record.exc_info else ""
