import json
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import msgspec
import pytest

from routewright.catalog.pricing import Price, PriceSchedule, Tariff, price_version
from routewright.catalog.sources import BUNDLED, load_prices
from routewright.cli.price_places import per_million
from routewright.ledger.price_history import PriceHistory, PriceVersion
from routewright.ledger.sqlite import SqliteDatabase
from routewright.usage import Usage
from terminal import NOON, Terminal, settled

TODAY = datetime.now(UTC).date().isoformat()
SETTINGS = """
[providers.acme]
base_url = "https://acme.example/v1"
api_key = "env:ACME"

[models.swift]
tier = "bulk"
deployments = ["acme/swift"]
context_window = 1000
"""


def document(day: str = TODAY, source: str = "list 1.0", **prices: object) -> bytes:
    """A price document of acme: a model's price in and out, or its facts."""
    models = [
        {"id": name, **(facts if isinstance(facts, dict) else {"standard": [[{"input": facts, "output": facts}]]})}
        for name, facts in prices.items()
    ]
    return msgspec.json.encode({"source": source, "date": day, "providers": [{"id": "acme", "models": models}]})


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A home with one model, whose price is in a document beside the ledger."""
    terminal = Terminal(tmp_path)
    terminal.settings(SETTINGS)
    put(terminal, document(swift=10_000_000))
    return terminal


def in_force(terminal: Terminal) -> Path:
    return terminal.ledger.with_name("prices.json")


def put(terminal: Terminal, content: bytes) -> None:
    in_force(terminal).parent.mkdir(parents=True, exist_ok=True)
    in_force(terminal).write_bytes(content)


def other(terminal: Terminal, content: bytes) -> None:
    (terminal.home / "other.json").write_bytes(content)


# ---- show --------------------------------------------------------------------------------------------------------


def test_show_lists_the_models_of_the_settings_with_version_and_source(terminal: Terminal) -> None:
    result = terminal.run("prices", "show")
    row = next(line.split() for line in result.stdout.splitlines() if "swift" in line)
    version = price_version(Tariff(PriceSchedule((Price(input=10_000_000, output=10_000_000),))))
    assert row == ["swift", "10.00", "10.00", "10.00", version, "list", "1.0"]
    assert f"prices of {TODAY}, 0 days old, from list 1.0" in result.stderr


def test_sound_from_a_cache_has_no_column_where_it_costs_what_the_cache_costs(terminal: Terminal) -> None:
    rows = [{"input": 1_000_000, "output": 1_000_000, "cache_read": 100_000}]
    put(terminal, document(swift={"standard": [rows], "variants": {}}))
    header = terminal.run("prices", "show", "swift").stdout.splitlines()[1]
    assert header.split() == ["tier", "when", "input", "output", "cached"]


def test_show_of_a_model_has_every_tier_and_time_that_holds_now_or_will(terminal: Terminal) -> None:
    rows = [
        {"input": 1_000_000, "output": 1_000_000},
        {"input": 5_000_000, "output": 5_000_000, "since": 86_400, "cache_read": 500_000},
        {"input": 6_000_000, "output": 6_000_000, "since": 86_400, "above_tokens": 200_000},
        {"input": 7_000_000, "output": 7_000_000, "since": 86_400, "second_of_day": 59_400},
        {"input": 8_000_000, "output": 8_000_000, "since": 4_102_444_800},
    ]
    flex = [[{"input": 2_500_000, "output": 2_500_000, "audio_input": 9_000_000}]]
    put(terminal, document(swift={"standard": [rows], "variants": {"flex": flex}}))
    lines = [line.split("   ") for line in terminal.run("prices", "show", "swift").stdout.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[1] == ["tier", "when", "input", "output", "cached", "sound in", "sound cached"]
    assert [line[0:2] for line in cells[2:]] == [
        ["standard", "since 1970-01-02"],
        ["standard", "since 1970-01-02, above 200,000 tokens"],
        ["standard", "since 1970-01-02, from 16:30 UTC"],
        ["standard", "since 2100-01-01"],
        ["flex", "2.50"],
    ]
    assert cells[2][2:] == ["5.00", "5.00", "0.50", "5.00", "0.50"]


def test_show_knows_aliases_and_the_names_of_the_table(terminal: Terminal) -> None:
    terminal.settings(SETTINGS + '\n[aliases]\nquick = "swift"\n')
    listed = json.loads(terminal.run("prices", "show", "quick", "acme/swift", "--json").stdout)["models"]
    assert [(each["model"], each["source"]) for each in listed] == [("swift", "list 1.0"), ("acme/swift", "list 1.0")]
    assert listed[0]["version"] == listed[1]["version"]
    result = terminal.run("prices", "show", "nobody")
    assert (result.exit_code, "E502" in result.stderr) == (1, True)


def test_show_says_that_a_model_has_no_price(terminal: Terminal) -> None:
    put(terminal, document(other=1))
    assert "?" in terminal.run("prices", "show").stdout
    assert "no price is known" in terminal.run("prices", "show", "swift").stderr


@pytest.mark.parametrize(
    ("picousd", "text"), [(0, "0.00"), (10_000_000, "10.00"), (270_000, "0.27"), (83_333, "0.083333"), (1, "0.000001")]
)
def test_rates_are_written_in_usd_per_million(picousd: int, text: str) -> None:
    assert per_million(picousd) == text


# ---- check -------------------------------------------------------------------------------------------------------


def test_check_is_content_with_prices_that_are(terminal: Terminal) -> None:
    result = terminal.run("prices", "check")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "priced; prices of" in result.stderr


def test_k04_check_tells_what_is_unpriced_stale_or_odd(terminal: Terminal) -> None:
    odd = {"standard": [[{"input": 10, "output": 10, "cache_read": 11}]]}
    terminal.settings(SETTINGS + SETTINGS.partition("[models")[2].join(("[models", "")).replace("swift", "odd"))
    put(terminal, document("2025-01-01", odd=odd))
    result = terminal.run("prices", "check", "--json")
    problems = json.loads(result.stdout)["problems"]
    assert result.exit_code == 1
    assert {each["model"] for each in problems} >= {"(all)", "odd", "swift"}
    text = terminal.run("prices", "check").stdout
    assert "the prices are of 2025-01-01" in text
    assert "input read from the cache costs more than input" in text
    assert 'has no price: add [models."swift".price]' in text


# ---- diff --------------------------------------------------------------------------------------------------------


def test_diff_with_a_document_is_what_it_would_bring_in_per_cent(terminal: Terminal) -> None:
    other(terminal, document(swift=15_000_000))
    found = json.loads(terminal.run("prices", "diff", "other.json", "--json").stdout)["changes"]
    assert [(each["token_class"], each["before_picousd"], each["after_picousd"]) for each in found] == [
        ("input", 10_000_000, 15_000_000),
        ("output", 10_000_000, 15_000_000),
    ]
    text = terminal.run("prices", "diff", "other.json").stdout
    assert "acme/swift" in text
    assert "+50.0 %" in text


def test_diff_is_of_the_models_in_the_settings_unless_all_are_asked_for(terminal: Terminal) -> None:
    other(terminal, document(swift=10_000_000, unused=5))
    assert "no price differs" in terminal.run("prices", "diff", "other.json").stderr
    assert "acme/unused" in terminal.run("prices", "diff", "other.json", "--all").stdout


def test_diff_alone_is_what_has_happened_since_the_prices_before(terminal: Terminal) -> None:
    other(terminal, document(swift=15_000_000))
    assert terminal.run("prices", "sync", "--from", "other.json").exit_code == 0
    text = terminal.run("prices", "diff").stdout
    assert "+50.0 %" in text
    in_force(terminal).with_name("prices.previous.json").unlink()
    assert "new" in terminal.run("prices", "diff").stdout, "the bundled prices do not know it"


def test_diff_with_a_version_is_what_its_model_costs_otherwise_now(terminal: Terminal) -> None:
    terminal.record()
    database = SqliteDatabase(terminal.ledger)
    old = Tariff(PriceSchedule((Price(input=20_000_000, output=10_000_000),)))
    version = PriceVersion(version=price_version(old), model="swift", tariff=old, source="list 0.9")
    PriceHistory(database).remember([version], now_ns=1)
    database.close()
    text = terminal.run("prices", "diff", version.version).stdout
    assert "-50.0 %" in text
    unknown = terminal.run("prices", "diff", "0123456789ab")
    assert (unknown.exit_code, "E502" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    ("source", "problem"), [("nowhere.json", "cannot read"), ("http://acme.example/prices.json", "only https")]
)
def test_a_document_that_cannot_be_had_is_an_error(terminal: Terminal, source: str, problem: str) -> None:
    result = terminal.run("prices", "diff", source)
    assert (result.exit_code, problem in result.stderr) == (1, True)


# ---- sync --------------------------------------------------------------------------------------------------------


def test_sync_takes_a_document_over_and_keeps_the_one_before(terminal: Terminal) -> None:
    before = in_force(terminal).read_bytes()
    other(terminal, document(swift=15_000_000))
    result = terminal.run("prices", "sync", "--from", "other.json")
    assert result.exit_code == 0
    assert "+50.0 %" in result.stdout
    assert in_force(terminal).read_bytes() == document(swift=15_000_000)
    assert in_force(terminal).with_name("prices.previous.json").read_bytes() == before
    assert sorted(path.name for path in in_force(terminal).parent.iterdir()) == ["prices.json", "prices.previous.json"]


def test_sync_writes_where_the_settings_say_and_reads_litellms_map(terminal: Terminal) -> None:
    terminal.settings(SETTINGS + '\n[prices]\ndocument = "mine.json"\n')
    (terminal.home / "mine.json").write_bytes(document(swift=10_000_000))
    entry = {"litellm_provider": "acme", "input_cost_per_token": 1.2e-05, "output_cost_per_token": 1e-05}
    other(terminal, json.dumps({"swift": entry}).encode())
    result = terminal.run("prices", "sync", "--from", "other.json", "--json")
    assert json.loads(result.stdout)["written"] == "mine.json"
    assert "12.00" in terminal.run("prices", "show").stdout


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (document(swift=101_000_000), "acme/swift input: 10.00 → 101.00"),
        (document(swift=0), "acme/swift input: 10.00 → 0.00"),
        (document(swift=999_999), "acme/swift input: 10.00 → 0.999999"),
        (document(unused=5), "acme/swift has no price any more"),
    ],
)
def test_k04_sync_refuses_what_may_be_a_mistake_until_it_is_accepted(
    terminal: Terminal, content: bytes, told: str
) -> None:
    before = in_force(terminal).read_bytes()
    other(terminal, content)
    result = terminal.run("prices", "sync", "--from", "other.json")
    assert (result.exit_code, told in result.stderr) == (1, True)
    assert in_force(terminal).read_bytes() == before
    assert terminal.run("prices", "sync", "--from", "other.json", "--accept").exit_code == 0
    assert in_force(terminal).read_bytes() == content


def test_k04_sync_refuses_what_is_no_price_document(terminal: Terminal) -> None:
    before = in_force(terminal).read_bytes()
    other(terminal, b'{"source": "x"')
    result = terminal.run("prices", "sync", "--from", "other.json")
    assert (result.exit_code, "E505" in result.stderr) == (1, True)
    assert in_force(terminal).read_bytes() == before


def test_sync_without_a_document_takes_the_installed_genai_prices_if_it_is_newer(terminal: Terminal) -> None:
    installed = load_prices().source
    put(terminal, document(source="genai-prices 0.0.1", swift=10_000_000))
    result = terminal.run("prices", "sync", "--accept", "--json")
    assert json.loads(result.stdout)["source"] == installed
    put(terminal, BUNDLED.read_bytes())
    again = terminal.run("prices", "sync")
    assert (again.exit_code, "nothing to do" in again.stderr) == (0, True)
    assert json.loads(terminal.run("prices", "sync", "--json").stdout) == {"written": None, "changes": []}


def test_sync_without_anything_to_take_says_where_to_get_it(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sys.modules["importlib.metadata"], "version", missing)
    result = terminal.run("prices", "sync")
    assert (result.exit_code, "pip install genai-prices" in result.stderr) == (1, True)


def test_sync_that_cannot_write_changes_nothing(terminal: Terminal) -> None:
    terminal.settings(SETTINGS + '\n[prices]\ndocument = "folder.json"\n')
    (terminal.home / "folder.json").write_bytes(document(swift=10_000_000))
    (terminal.home / "folder.previous.json").mkdir()
    other(terminal, document(swift=11_000_000))
    result = terminal.run("prices", "sync", "--from", "other.json")
    assert (result.exit_code, "cannot write" in result.stderr) == (1, True)
    assert (terminal.home / "folder.json").read_bytes() == document(swift=10_000_000)


# ---- rerate ------------------------------------------------------------------------------------------------------


@pytest.fixture
def history(terminal: Terminal) -> Terminal:
    """Two attempts of 1,000 tokens in and 500 out on two days, settled at $10 per million."""
    usage = Usage(input=1_000, output=500)
    cost = 15_000_000
    terminal.record(
        settled("r1", usage=usage, cost_nanousd=cost),
        settled("r2", usage=usage, cost_nanousd=cost, at_ns=NOON + 86_400 * 10**9),
    )
    return terminal


def rerated(terminal: Terminal, *options: str) -> dict[str, int]:
    total = json.loads(terminal.run("prices", "rerate", "--json", *options).stdout)["total"]
    return {name: total[name] for name in ("attempts", "kept", "before_nanousd", "after_nanousd")}


def test_rerate_by_a_document_prints_models_days_and_the_total(history: Terminal) -> None:
    other(history, document(swift=20_000_000))
    result = history.run("prices", "rerate", "--from", "other.json")
    rows = [line.split() for line in result.stdout.splitlines() if line.split()]
    assert [row[0] for row in rows] == ["model", "swift", "day", "2026-11-01", "2026-11-02", "all", "total"]
    assert rows[1] == ["swift", "2", "0", "$0.030000", "$0.060000", "$0.030000", "100.0", "%"]
    assert "at the prices of list 1.0" in result.stderr


def test_rerate_as_of_a_day_has_the_prices_of_that_day(history: Terminal) -> None:
    rows = [
        {"input": 1_000_000, "output": 1_000_000},
        {"input": 9_000_000, "output": 9_000_000, "since": 1_700_000_000},
    ]
    put(history, document(swift={"standard": [rows]}))
    assert rerated(history, "--as-of", "2020-01-01")["after_nanousd"] == 3_000_000
    assert rerated(history, "--as-of", "2026-01-01")["after_nanousd"] == 27_000_000


def test_rerate_by_a_version_prices_the_models_that_had_it(history: Terminal) -> None:
    database = SqliteDatabase(history.ledger)
    tariff = Tariff(PriceSchedule((Price(input=2_000_000, output=2_000_000),)))
    PriceHistory(database).remember(
        [PriceVersion(version="v1", model="swift", tariff=tariff, source="list 0.9")], now_ns=1
    )
    database.close()
    assert rerated(history, "--version", "v1") == {
        "attempts": 2,
        "kept": 0,
        "before_nanousd": 30_000_000,
        "after_nanousd": 6_000_000,
    }
    assert "E502" in history.run("prices", "rerate", "--version", "v9").stderr


def test_rerate_looks_at_a_time_that_is_asked_for(history: Terminal) -> None:
    other(history, document(swift=20_000_000))
    source = ("--from", "other.json")
    assert rerated(history, *source, "--since", "2026-11-02")["attempts"] == 1
    assert rerated(history, *source, "--until", "2026-11-02")["attempts"] == 1
    assert "no attempt is settled" in history.run("prices", "rerate", *source, "--since", "2026-12-01").stderr


def test_a_view_is_saved_listed_and_dropped(history: Terminal) -> None:
    other(history, document(swift=20_000_000))
    save = ("prices", "rerate", "--from", "other.json", "--save", "doubled")
    assert "kept as doubled" in history.run(*save).stderr
    assert "there is a view 'doubled' already" in history.run(*save).stderr
    listed = json.loads(history.run("prices", "rerate", "--list", "--json").stdout)
    assert [(view["name"], view["prices"]) for view in listed] == [("doubled", "list 1.0")]
    assert "doubled" in history.run("prices", "rerate", "--list").stdout
    assert "forgotten: doubled" in history.run("prices", "rerate", "--drop", "doubled").stderr
    assert "E502" in history.run("prices", "rerate", "--drop", "doubled").stderr
    assert "no view is kept" in history.run("prices", "rerate", "--list").stderr


def test_a_report_has_the_cost_beside_that_of_a_view(history: Terminal) -> None:
    other(history, document(swift=20_000_000))
    history.run("prices", "rerate", "--from", "other.json", "--until", "2026-11-02", "--save", "doubled")
    result = history.run("report", "--view", "doubled")
    rows = [line.split() for line in result.stdout.splitlines() if line.split()]
    assert rows[1] == ["swift", "2", "1", "$0.030000", "$0.045000", "$0.015000", "50.0", "%"]
    assert [row[1:5] for row in rows[3:5]] == [
        ["1", "0", "$0.015000", "$0.030000"],
        ["1", "1", "$0.015000", "$0.015000"],
    ]
    assert "the view doubled, at the prices of list 1.0" in result.stdout
    assert "1 attempt of a time that is not in the view: at what they did cost" in result.stdout
    told = json.loads(history.run("report", "--view", "doubled", "--until", "2026-11-02", "--json").stdout)
    assert (told["total"]["before_nanousd"], told["total"]["after_nanousd"], told["missing"]) == (
        15 * 10**6,
        30 * 10**6,
        0,
    )
    assert "no attempt is settled" in history.run("report", "--view", "doubled", "--since", "2026-12-01").stderr
    assert "E502" in history.run("report", "--view", "halved").stderr
    assert history.run("report", "--view", "doubled", "--by", "model").exit_code == 2


@pytest.mark.parametrize(
    "options",
    [(), ("--as-of", "2026-01-01", "--version", "v1"), ("--as-of", "tomorrow"), ("--from", "x", "--since", "long ago")],
)
def test_rerate_needs_to_know_at_which_prices_and_when(history: Terminal, options: tuple[str, ...]) -> None:
    assert history.run("prices", "rerate", *options).exit_code == 2


def test_rerate_of_no_ledger_says_so(terminal: Terminal) -> None:
    assert "the ledger is empty" in terminal.run("prices", "rerate", "--as-of", "2026-01-01").stderr


def test_rerate_by_what_is_no_document_is_an_error(history: Terminal) -> None:
    other(history, b"{}")
    assert "E505" in history.run("prices", "rerate", "--from", "other.json").stderr
