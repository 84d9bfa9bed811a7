"""Providers' usage and cost exports, read into rows of one form. Pure: bytes in, rows out.

Four CSV shapes and one of JSON are known, each by the columns it cannot do without: OpenAI's completions usage and
costs (also as the JSON pages of its usage API), Anthropic's usage and cost reports. Columns that are not known are
passed over. All days are UTC.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, TypeAlias

from msgspec import Struct

CLASSES = (
    "input",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "output",
    "audio_input",
    "audio_cache_read",
    "audio_output",
)
"""The classes of tokens that exports count; reasoning is output to all of them."""

MOST_BYTES = 64 * 1024 * 1024

_TIERS = {"batch": "batch", "flex": "flex", "priority": "priority", "fast": "fast"}
_ANTHROPIC_COSTS = {
    "input_no_cache": "input",
    "input_cache_read": "cache_read",
    "input_cache_write_5m": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "output": "output",
}


Line: TypeAlias = Mapping[str, Any]
"""A line of an export by column; `Any` because in JSON a value may be anything."""


class ExportError(ValueError):
    """An export that cannot be read; the message has the place."""


class ExportRow(Struct, frozen=True, kw_only=True):
    """What a provider says of one model on one day, or of a part of that."""

    day: str
    model: str
    """As the provider writes it: an id, or a name for people."""
    tokens: Mapping[str, int] = {}
    """By class; empty in a cost export."""
    cost_nanousd: int | None = None
    resolution_nanousd: int = 0
    """The unit of the last digit of the cost: it is off by up to half of that."""
    requests: int | None = None
    service_tier: str = ""
    key: str = ""


class Export(Struct, frozen=True, kw_only=True):
    """An export as a whole."""

    provider: str
    classes: tuple[str, ...]
    """The classes of tokens that it counts apart; empty in a cost export."""
    rows: tuple[ExportRow, ...]


def read_export(content: bytes) -> Export:
    """The rows of an export of any known shape. Raises ExportError naming the line."""
    if len(content) > MOST_BYTES:
        raise ExportError(f"the export is over {MOST_BYTES >> 20} MiB: export fewer days at a time")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ExportError(f"the export is not UTF-8 (byte {error.start})") from None
    if text.lstrip().startswith(("{", "[")):
        return _openai_json(text)
    return _csv(text)


def _csv(text: str) -> Export:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = {(name or "").strip() for name in reader.fieldnames or ()}
    lines = ({(name or "").strip(): value for name, value in line.items()} for line in reader)
    numbered = ((reader.line_num, line) for line in lines)
    if {"usage_date_utc", "model_version", "usage_output_tokens"} <= columns:
        return Export(provider="anthropic", classes=CLASSES[:5], rows=_rows(numbered, _anthropic_usage))
    if {"usage_date_utc", "model", "cost_usd"} <= columns:
        return Export(provider="anthropic", classes=(), rows=_rows(numbered, _anthropic_cost))
    if {"start_time", "model", "input_tokens", "output_tokens"} <= columns:
        return Export(provider="openai", classes=_openai_classes(columns), rows=_rows(numbered, _openai_usage))
    if {"start_time", "amount_value", "line_item"} <= columns:
        return Export(provider="openai", classes=(), rows=_rows(numbered, _openai_cost))
    raise ExportError(
        "the export has none of the known sets of columns: usage_date_utc, model_version, usage_output_tokens, … "
        "(Anthropic usage); usage_date_utc, model, cost_usd (Anthropic cost); start_time, model, input_tokens, "
        "output_tokens (OpenAI usage); start_time, amount_value, line_item (OpenAI cost)"
    )


def _rows(lines: Iterable[tuple[int, Line]], read: Callable[[Line], ExportRow | None]) -> tuple[ExportRow, ...]:
    return tuple(_numbered(lines, read))


def _numbered(lines: Iterable[tuple[int, Line]], read: Callable[[Line], ExportRow | None]) -> Iterator[ExportRow]:
    try:
        for number, line in lines:
            try:
                row = read(line)
            except (ValueError, InvalidOperation, OverflowError, TypeError, KeyError) as error:
                raise ExportError(f"line {number}: cannot be read: {error}") from None
            if row is not None:
                yield row
    except csv.Error as error:
        raise ExportError(f"the export is not CSV: {error}") from None


# ---- Anthropic ---------------------------------------------------------------------------------------------------


def _anthropic_usage(line: Line) -> ExportRow:
    return ExportRow(
        day=_day(line["usage_date_utc"]),
        model=str(line["model_version"]),
        tokens={
            "input": _count(line.get("usage_input_tokens_no_cache")),
            "cache_read": _count(line.get("usage_input_tokens_cache_read")),
            "cache_write": _count(line.get("usage_input_tokens_cache_write_5m"))
            + _count(line.get("usage_input_tokens_cache_write")),
            "cache_write_1h": _count(line.get("usage_input_tokens_cache_write_1h")),
            "output": _count(line["usage_output_tokens"]),
        },
        service_tier=_tier(line.get("speed")) or _tier(line.get("usage_type")),
        key=line.get("api_key") or "",
    )


def _anthropic_cost(line: Line) -> ExportRow | None:
    if line.get("token_type") and line["token_type"] not in _ANTHROPIC_COSTS:
        return None  # searches, code execution: no tokens, and not in the ledger
    cost, resolution = _money(line["cost_usd"])
    return ExportRow(
        day=_day(line["usage_date_utc"]),
        model=str(line["model"]),
        cost_nanousd=cost,
        resolution_nanousd=resolution,
        service_tier=_tier(line.get("speed")) or _tier(line.get("usage_type")),
        key=line.get("api_key") or "",
    )


# ---- OpenAI ------------------------------------------------------------------------------------------------------


def _openai_classes(columns: Iterable[str]) -> tuple[str, ...]:
    needed = {
        "cache_read": "input_cached_tokens",
        "cache_write": "input_cache_write_tokens",
        "audio_input": "input_audio_tokens",
        "audio_cache_read": "input_cached_audio_tokens",
        "audio_output": "output_audio_tokens",
    }
    known = set(columns)
    return tuple(name for name in CLASSES if name != "cache_write_1h" and (name not in needed or needed[name] in known))


def _openai_usage(line: Line) -> ExportRow | None:
    """Its totals include what is cached and what is sound; a bucket without a model is an empty one."""
    if not line.get("model"):
        return None
    cached, written = _count(line.get("input_cached_tokens")), _count(line.get("input_cache_write_tokens"))
    heard, spoken = _count(line.get("input_audio_tokens")), _count(line.get("output_audio_tokens"))
    heard_again = _count(line.get("input_cached_audio_tokens"))
    sent, output = _count(line["input_tokens"]), _count(line["output_tokens"])
    is_batch = str(line.get("batch") or "").lower() in ("true", "1")
    return ExportRow(
        day=_day(line["start_time"]),
        model=str(line["model"]),
        tokens={
            "input": sent - cached - written - (heard - heard_again),
            "cache_read": cached - heard_again,
            "cache_write": written,
            "output": output - spoken,
            "audio_input": heard - heard_again,
            "audio_cache_read": heard_again,
            "audio_output": spoken,
        },
        requests=None if line.get("num_model_requests") in (None, "") else _count(line["num_model_requests"]),
        service_tier="batch" if is_batch else _tier(line.get("service_tier")),
        key=line.get("api_key_id") or "",
    )


def _openai_cost(line: Line) -> ExportRow | None:
    """A line item is like `gpt-4o-2024-08-06, cached input`."""
    if not line.get("line_item"):
        return None
    currency = str(line.get("amount_currency") or "usd").lower()
    if currency != "usd":
        raise ValueError(f"the amount is in {currency}, not in USD")
    cost, resolution = _money(line["amount_value"])
    return ExportRow(
        day=_day(line["start_time"]),
        model=str(line["line_item"]).partition(",")[0].strip(),
        cost_nanousd=cost,
        resolution_nanousd=resolution,
        key=line.get("api_key_id") or "",
    )


def _openai_json(text: str) -> Export:
    try:
        page = json.loads(text, parse_float=Decimal)
        buckets = page["data"] if isinstance(page, dict) else page
        results = [(bucket, result) for bucket in buckets for result in bucket["results"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ExportError(f"the export is no page of OpenAI's usage API: {error!r}") from None
    lines = [{**result, "start_time": bucket.get("start_time")} for bucket, result in results]
    if any("amount" in line for line in lines):
        money = [
            {**line, "amount_value": line["amount"]["value"], "amount_currency": line["amount"]["currency"]}
            for line in lines
            if isinstance(line.get("amount"), dict)
        ]
        return Export(provider="openai", classes=(), rows=_rows(enumerate(money, 1), _openai_cost))
    classes = _openai_classes({name for line in lines for name in line})
    return Export(provider="openai", classes=classes, rows=_rows(enumerate(lines, 1), _openai_usage))


# ---- values ------------------------------------------------------------------------------------------------------


def _day(value: object) -> str:
    text = str(value).strip()
    if text.isdecimal():
        return datetime.fromtimestamp(int(text), UTC).date().isoformat()
    moment = datetime.fromisoformat(text)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date().isoformat()


def _count(value: object) -> int:
    """A number of tokens; what is not there is none. Spreadsheets write 3 as 3.0, and 1234 as 1,234."""
    text = str("" if value is None else value).replace(",", "").strip()
    number = Decimal(text or 0)
    if number != number.to_integral_value() or number < 0:
        raise ValueError(f"{value!r} is no number of tokens")
    return int(number)


def _money(value: object) -> tuple[int, int]:
    """Nano-USD, and the unit of the last digit that was written."""
    amount = Decimal(str(value).replace("$", "").replace(",", "").strip())
    if not amount.is_finite():
        raise ValueError(f"{value!r} is no amount")
    exponent = amount.as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) else 0
    return int((amount * 10**9).to_integral_value(ROUND_HALF_EVEN)), 10 ** max(0, 9 - max(0, digits))


def _tier(value: object) -> str:
    return _TIERS.get(str(value or "").lower(), "")
