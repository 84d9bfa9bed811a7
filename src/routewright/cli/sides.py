"""The two sides of a comparison: an engine in this process, and any gateway that speaks OpenAI's API or Anthropic's."""

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

import msgspec

from routewright.call import Options
from routewright.cli.compared import NOT_REACHED, Said
from routewright.cli.failures import OtherSideNotReached
from routewright.dialects.wire import WireRequest
from routewright.engine import Engine
from routewright.errors import ProviderError, RoutewrightError
from routewright.jobs.lines import DIALECTS, Question
from routewright.transport import Transport, WireResponse

MOST_BYTES = 32 * 1024 * 1024
"""Of one answer; what is longer is a failure."""
CONNECT_S = 5.0

_COST_HEADERS = ("x-routewright-cost-usd", "x-litellm-response-cost")
_LONGEST_NUMBER = 40
_MOST_USD = 1_000_000
_PROMPT = ("prompt_tokens",)
_INPUT = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
"""OpenAI's counts have what was cached in them; Anthropic's three are apart."""
_OUTPUT = ("completion_tokens", "output_tokens")


class Side(Protocol):
    """Whoever answers questions."""

    async def ask(self, question: Question) -> Said:
        """What it makes of one; never raises for what the question met."""
        ...


class EngineSide:
    """Routewright in this process, with its settings, keys and ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def ask(self, question: Question) -> Said:
        """See `Side.ask`."""
        engine, began = self._engine, time.perf_counter()
        try:
            body = msgspec.json.encode(question.body)
            call = DIALECTS[question.url].read(body, request_id=engine.mint_id(), options=Options())
            answer = await (await engine.ask(call)).read()
        except RoutewrightError as error:
            return Said(status=error.http_status, latency_ms=_since(began), error=error.code)
        return Said(
            status=200,
            latency_ms=_since(began),
            input_tokens=answer.usage.input_total,
            output_tokens=answer.usage.output_total,
            cost_nanousd=answer.receipt.cost_nanousd,
            model=answer.model,
        )


class GatewaySide:
    """A gateway at an address. What an answer cost is read where routewright, LiteLLM and OpenRouter tell it."""

    def __init__(
        self, url: str, key: str, transport: Transport, *, model: str | None = None, patience_s: float
    ) -> None:
        """`url` may end in `/v1`; `model` is asked for instead of what questions name."""
        self.url = url.rstrip("/").removesuffix("/v1")
        self._headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
        self._transport = transport
        self._model = model
        self._patience_s = patience_s

    async def check(self) -> None:
        """Raises OtherSideNotReached when nobody answers there, or the key is not taken."""
        request = WireRequest(url=f"{self.url}/v1/models", headers=self._headers, body=b"", method="GET")
        try:
            async with asyncio.timeout(self._patience_s):
                response = await self._transport.send(request, connect_timeout_s=CONNECT_S)
        except (ProviderError, TimeoutError) as error:
            reason = str(error) or f"no answer within {self._patience_s:g} s"
            raise OtherSideNotReached(
                f"no gateway answers at {self.url}: {reason}", hint="start it, or correct the address"
            ) from error
        response.abort()
        if response.status in (401, 403):
            raise OtherSideNotReached(
                f"the gateway at {self.url} does not take the key ({response.status})",
                hint="name the variable that has one of its keys: --against-key env:NAME, or --via-key env:NAME",
            )

    async def ask(self, question: Question) -> Said:
        """See `Side.ask`."""
        body = question.body if self._model is None else {**question.body, "model": self._model}
        request = WireRequest(url=self.url + question.url, headers=self._headers, body=msgspec.json.encode(body))
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self._patience_s):
                response = await self._transport.send(request, connect_timeout_s=CONNECT_S)
                content = await _read(response)
        except ProviderError as error:
            return Said(status=NOT_REACHED, latency_ms=_since(began), error=error.code)
        except TimeoutError:
            return Said(status=NOT_REACHED, latency_ms=_since(began), error="timeout")
        if content is None:
            return Said(status=NOT_REACHED, latency_ms=_since(began), error="too_long")
        return read_said(response.status, response.headers, content, latency_ms=_since(began))


async def _read(response: WireResponse) -> bytes | None:
    """The whole body; None for one that is too long."""
    content = bytearray()
    while piece := await response.next():
        content += piece
        if len(content) > MOST_BYTES:
            response.abort()
            return None
    return bytes(content)


def read_said(status: int, headers: Mapping[str, str], content: bytes, *, latency_ms: float) -> Said:
    """An answer over HTTP as a value; what it does not tell in a form that is known is None."""
    try:
        told = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told = None
    fields = _mapping(told)
    if not 200 <= status < 300:
        error = _mapping(fields.get("error"))
        return Said(status=status, latency_ms=latency_ms, error=str(error.get("code") or error.get("type") or "")[:100])
    usage = _mapping(fields.get("usage"))
    cost = next((headers[name] for name in _COST_HEADERS if name in headers), usage.get("cost"))
    return Said(
        status=status,
        latency_ms=latency_ms,
        input_tokens=_sum(usage, _PROMPT if "prompt_tokens" in usage else _INPUT),
        output_tokens=_sum(usage, _OUTPUT),
        cost_nanousd=_nanousd(cost),
        model=headers.get("x-routewright-model") or str(fields.get("model") or "")[:100],
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _sum(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    told = [usage[name] for name in names if type(usage.get(name)) is int]
    return sum(told) if told else None


def _nanousd(cost: object) -> int | None:
    """A number or a text of dollars; None for what is neither, or no amount."""
    if type(cost) not in (str, int, float):
        return None
    text = str(cost)
    try:
        usd = Decimal(text if len(text) <= _LONGEST_NUMBER else "NaN")
    except InvalidOperation:
        return None
    return round(usd.scaleb(9)) if usd.is_finite() and 0 <= usd <= _MOST_USD else None


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
