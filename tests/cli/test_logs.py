import io
import json
import logging
import sys

import pytest

from routewright.cli.logs import JsonLines, Pretty, configure


def record(message: str = "settings taken over", **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "routewright.x", "levelno": 30, "levelname": "WARNING", "msg": message})
    vars(made).update(extra)
    return made


def failing_record() -> logging.LogRecord:
    try:
        raise ValueError("no \x1b[31msuch thing")
    except ValueError:
        return record("bug", exc_info=sys.exc_info())


def test_log_line_for_machines_is_one_json_object() -> None:
    line = json.loads(JsonLines().format(record("two\nlines", model="swift", cost=3)))
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warning", "logger": "routewright.x", "message": "two\nlines", "model": "swift", "cost": 3}


def test_traceback_stays_in_its_line() -> None:
    text = JsonLines().format(failing_record())
    assert "\n" not in text
    assert "ValueError" in json.loads(text)["error"]


def test_log_for_people_cannot_drive_the_terminal() -> None:
    text = Pretty(is_coloured=False).format(failing_record())
    assert "\x1b" not in text
    assert "warning bug\nTraceback" in text
    assert "ValueError: no such thing" in text


def test_colour_only_where_it_is_wanted() -> None:
    assert "\x1b[33m" in Pretty(is_coloured=True).format(record())
    assert "\x1b" not in Pretty(is_coloured=False).format(record(model="swift"))
    assert Pretty(is_coloured=False).format(record(model="swift")).endswith("settings taken over  model=swift")


def test_log_goes_to_stderr_as_json_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    root.handlers.clear()
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    try:
        configure(level=logging.WARNING, no_color=False)
        logging.getLogger("routewright.x").warning("told")
        logging.getLogger("routewright.x").info("not told")
    finally:
        root.handlers[:], root.level = before
    assert [json.loads(line)["message"] for line in stderr.getvalue().splitlines()] == ["told"]
