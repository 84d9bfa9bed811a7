"""Exports are read by the columns that providers document, whatever else stands in them, or refused with the line."""

import json

import pytest

import exports as made
from routewright import exports
from routewright.exports import CLASSES, ExportError, ExportRow, read_export


def test_anthropics_usage_is_read_by_day_model_and_class() -> None:
    export = read_export(b"\xef\xbb\xbf" + made.ANTHROPIC_USAGE.encode())
    assert (export.provider, export.classes) == ("anthropic", CLASSES[:5])
    assert export.rows == (
        ExportRow(
            day="2026-11-01",
            model="claude-opus-4-7-20260401",
            tokens={"input": 1000, "cache_read": 300, "cache_write": 200, "cache_write_1h": 50, "output": 500},
            key="gateway",
        ),
        ExportRow(
            day="2026-11-01",
            model="claude-opus-4-7-20260401",
            tokens={"input": 10, "cache_read": 0, "cache_write": 0, "cache_write_1h": 0, "output": 5},
            service_tier="batch",
            key="gateway",
        ),
        ExportRow(
            day="2026-11-02",
            model="claude-sonnet-4-6",
            tokens={"input": 1000, "cache_read": 0, "cache_write": 0, "cache_write_1h": 0, "output": 7},
            service_tier="fast",
            key="laptop",
        ),
    )


def test_an_older_form_without_lifetimes_of_the_cache_is_read_too() -> None:
    text = (
        "usage_date_utc,model_version,usage_input_tokens_no_cache,usage_input_tokens_cache_write,"
        "usage_input_tokens_cache_read,usage_output_tokens\n2025-03-01,claude-3,1,2,3,4\n"
    )
    (row,) = read_export(text.encode()).rows
    assert row.tokens == {"input": 1, "cache_write": 2, "cache_write_1h": 0, "cache_read": 3, "output": 4}


def test_anthropics_costs_are_money_with_their_resolution_and_without_tools() -> None:
    export = read_export(made.ANTHROPIC_COST.encode())
    assert (export.provider, export.classes) == ("anthropic", ())
    assert [(row.model, row.cost_nanousd, row.resolution_nanousd) for row in export.rows] == [
        ("Claude Opus 4.7", 50_000_000, 10_000_000),
        ("Claude Opus 4.7", 1_250_000_000, 10_000_000),
    ]


def test_openais_usage_becomes_disjoint() -> None:
    export = read_export(made.OPENAI_USAGE.encode())
    assert export.provider == "openai"
    assert export.classes == ("input", "cache_read", "output", "audio_input", "audio_output")
    first, second = export.rows
    assert first == ExportRow(
        day="2026-11-01",
        model="gpt-5.5-2026-04-24",
        tokens={
            "input": 600,
            "cache_read": 300,
            "cache_write": 0,
            "output": 450,
            "audio_input": 100,
            "audio_cache_read": 0,
            "audio_output": 50,
        },
        requests=3,
        key="key_1",
    )
    assert (second.service_tier, second.requests, second.key) == ("batch", 1, "key_2")


def test_openais_costs_are_read_by_line_item() -> None:
    export = read_export(made.OPENAI_COST.encode())
    assert [(row.day, row.model, row.cost_nanousd, row.resolution_nanousd) for row in export.rows] == [
        ("2026-11-01", "gpt-5.5-2026-04-24", 12_300_000, 100_000),
        ("2026-11-01", "gpt-5.5-2026-04-24", 500_000_000, 100_000_000),
    ]


def test_openais_usage_buckets_are_read_as_json() -> None:
    result = {
        "object": "organization.usage.completions.result",
        "input_tokens": 100,
        "input_cached_tokens": 30,
        "input_cache_write_tokens": 10,
        "output_tokens": 20,
        "num_model_requests": 2,
        "model": "gpt-5.5",
        "batch": False,
        "service_tier": "flex",
        "api_key_id": None,
    }
    bucket = {"object": "bucket", "start_time": 1793491200, "end_time": 1793577600, "results": [result]}
    export = read_export(json.dumps({"object": "page", "data": [bucket], "has_more": False}).encode())
    assert export.classes == ("input", "cache_read", "cache_write", "output")
    (row,) = export.rows
    assert (row.day, row.requests, row.service_tier, row.key) == ("2026-11-01", 2, "flex", "")
    assert (row.tokens["input"], row.tokens["cache_read"], row.tokens["cache_write"]) == (60, 30, 10)
    assert read_export(json.dumps([bucket]).encode()).rows == export.rows


def test_openais_cost_buckets_are_read_as_json() -> None:
    results = [
        {"amount": {"value": 0.061234, "currency": "usd"}, "line_item": "gpt-5.5, output"},
        {"amount": {"value": 1, "currency": "usd"}, "line_item": None},
        {"amount": None},
    ]
    page = {"data": [{"start_time": 1793491200, "results": results}]}
    (row,) = read_export(json.dumps(page).encode()).rows
    assert (row.model, row.cost_nanousd, row.resolution_nanousd) == ("gpt-5.5", 61_234_000, 1_000)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "none of the known sets of columns"),
        (b"day,model,tokens\n", "none of the known sets of columns"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"{", "no page of OpenAI's usage API"),
        (b'{"data": 5}', "no page of OpenAI's usage API"),
        (b"[" * 100_000, "no page of OpenAI's usage API"),
        (made.OPENAI_COST.replace("0.0123,usd", "0.0123,eur").encode(), "line 2: cannot be read: the amount is in eur"),
        (made.OPENAI_COST.replace("0.0123", "NaN").encode(), "line 2: cannot be read"),
        (made.OPENAI_USAGE.replace(",1000,", ",many,").encode(), "line 2: cannot be read"),
        (made.ANTHROPIC_USAGE.replace("2026-11-02", "yesterday").encode(), "line 4: cannot be read"),
        (made.ANTHROPIC_USAGE.replace("7.0", "7.5").encode(), "line 4: cannot be read: '7.5' is no number of tokens"),
        (made.ANTHROPIC_USAGE.replace("7.0", "-7").encode(), "line 4: cannot be read: '-7' is no number of tokens"),
        (made.ANTHROPIC_COST.replace("0.05,0.05", ",").encode(), "line 2: cannot be read"),
    ],
)
def test_what_is_no_export_is_refused_with_its_problem(content: bytes, problem: str) -> None:
    with pytest.raises(ExportError, match=problem):
        read_export(content)


def test_an_export_over_the_bound_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_BYTES", 10)
    with pytest.raises(ExportError, match="export fewer days"):
        read_export(made.ANTHROPIC_USAGE.encode())


def test_a_header_without_rows_is_an_empty_export() -> None:
    assert read_export(made.OPENAI_COST.splitlines()[0].encode()).rows == ()
