"""Price documents of other makes: which one a file is, and how it becomes a table of ours.

Three are known: our own (what `prices sync` writes), the data of genai-prices (a list of providers; to read its rules
takes that package), and LiteLLM's price map (an object by model). Nothing is guessed: any other file is refused.
"""

import json
from decimal import Decimal
from typing import NoReturn

from routewright.catalog.compile import compile_providers, from_litellm
from routewright.catalog.pricing import PriceError
from routewright.catalog.sources import PriceTable

MOST_BYTES = 10 * 1024 * 1024
"""Of a price document: four times the largest there is in 2026."""


def read_document(content: bytes, day: str) -> PriceTable:
    """The table in a document of any known make, looked through to its end; `day` (ISO) is when it was read.

    Raises PriceError for one that is too large, of no known make, or has a price in it that cannot be meant.
    """
    if len(content) > MOST_BYTES:
        raise PriceError(f"the document is over {MOST_BYTES >> 20} MiB; that is no price document")
    try:
        found = json.loads(content, parse_float=Decimal, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise PriceError(f"the document is not JSON: {error}") from error
    match found:
        case {"source": str(), "date": str(), "providers": list()}:
            table = PriceTable(content)
        case [{"id": str(), "models": list()}, *_]:
            table = PriceTable(_from_genai(found, day))
        case dict() if any(isinstance(facts, dict) and "litellm_provider" in facts for facts in found.values()):
            table = from_litellm({name: facts for name, facts in found.items() if isinstance(facts, dict)}, day)
        case _:
            raise PriceError(
                "the document is none that is known: neither routewright's own, nor the data of genai-prices, "
                "nor LiteLLM's price map"
            )
    if not sum(len(table.models(provider)) for provider in table.providers):
        raise PriceError("the document has no prices in it")
    return table


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _from_genai(providers: list[object], day: str) -> bytes:
    try:
        from genai_prices.types import _providers_from_raw
    except ImportError:
        raise PriceError(
            "the document is the data of genai-prices, whose rules only that package can read: pip install genai-prices"
        ) from None
    try:
        # As text again, since the package wants its numbers as the JSON module reads them.
        read = _providers_from_raw(json.loads(json.dumps(providers, default=float)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PriceError(f"the data of genai-prices cannot be read: {error}") from error
    return compile_providers(read, "genai-prices, data", day)
