"""A price document is recognised by its form, read to its end, or refused."""

import json
import sys

import msgspec
import pytest

from routewright.catalog import documents
from routewright.catalog.documents import read_document
from routewright.catalog.pricing import PriceError
from routewright.catalog.sources import BUNDLED, load_prices

LITELLM = {
    "sample_spec": {"litellm_provider": "one of …"},
    "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05},
    "comment": "not an entry",
}
GENAI = [
    {
        "id": "acme",
        "name": "Acme",
        "api_pattern": "https://api\\.acme\\.example",
        "models": [{"id": "swift", "match": {"equals": "swift"}, "prices": {"input_mtok": 0.27, "output_mtok": 1.1}}],
    }
]


def test_our_own_document_stays_as_it_is() -> None:
    assert read_document(BUNDLED.read_bytes(), "2026-11-26").version == load_prices().version


def test_litellms_map_is_read_exactly() -> None:
    table = read_document(json.dumps(LITELLM).encode(), "2026-11-26")
    found = table.lookup("openai", "gpt-4o")
    assert (table.source, table.date) == ("litellm", "2026-11-26")
    assert found is not None
    assert found.standard is not None
    assert (found.standard.prices[0].input, found.standard.prices[0].output) == (2_500_000, 10_000_000)


def test_the_data_of_genai_prices_is_read_by_that_package() -> None:
    table = read_document(json.dumps(GENAI).encode(), "2026-11-26")
    found = table.lookup("acme", "swift")
    assert found is not None
    assert found.standard is not None
    assert (found.standard.prices[0].input, found.standard.prices[0].output) == (270_000, 1_100_000)


def test_without_that_package_its_data_cannot_be_read_and_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.types", None)
    with pytest.raises(PriceError, match="pip install genai-prices"):
        read_document(json.dumps(GENAI).encode(), "2026-11-26")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        (b"[]", "none that is known"),
        (b"{}", "none that is known"),
        (b'{"a": 1}', "none that is known"),
        (b'"text"', "none that is known"),
        (b'[{"id": "acme"}]', "none that is known"),
        (b'{"source":"x","date":"2026-01-01","providers":[]}', "no prices in it"),
        (b'{"source":"x","date":"2026-01-01","providers":[{"id":1}]}', "damaged"),
        (b'{"source":"x","date":"2026-01-01","providers":[{"id":"a","models":[{"id":"m","standard":7}]}]}', "damaged"),
        (b'{"m":{"litellm_provider":"a","input_cost_per_token":NaN,"output_cost_per_token":1}}', "NaN is no number"),
        (b'{"m":{"litellm_provider":"a","input_cost_per_token":-1e-6,"output_cost_per_token":1e-6}}', "at least 0"),
        (b'{"m":{"litellm_provider":"a","input_cost_per_token":5,"output_cost_per_token":1e-6}}', "check the unit"),
        (b'[{"id":"acme","models":[{"id":"swift"}]}]', "genai-prices cannot be read"),
    ],
)  # fmt: skip
def test_k04_what_is_no_price_document_is_refused_with_its_problem(content: bytes, problem: str) -> None:
    with pytest.raises(PriceError, match=problem):
        read_document(content, "2026-11-26")


def test_a_document_over_the_bound_is_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_BYTES", 10)
    with pytest.raises(PriceError, match="no price document"):
        read_document(msgspec.json.encode(LITELLM), "2026-11-26")
