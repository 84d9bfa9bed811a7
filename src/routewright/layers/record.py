"""Record: every request leaves one row in the ledger, refusals included, and every reply gets its receipt."""

import asyncio
import logging
from collections.abc import Sequence

from routewright.call import Call
from routewright.catalog.pricing import cost_nanousd
from routewright.catalog.registry import Registry
from routewright.clock import Clock
from routewright.decision.audit import PREVIEW_CHARS, scaled, share_nanousd, system_text, text_hash
from routewright.decision.session import session_of
from routewright.errors import RoutewrightError
from routewright.layers.service import Service
from routewright.layers.tally import Tally
from routewright.ledger.ledger import Account, Ledger, RequestRecorded
from routewright.reply import AttemptReport, Receipt, Reply
from routewright.route import Route
from routewright.usage import NO_INPUT, InputParts, Usage

log = logging.getLogger(__name__)


class Record:
    """Outermost of all, so that it sees what every other layer refused."""

    def __init__(
        self,
        ledger: Ledger,
        registry: Registry,
        clock: Clock,
        *,
        tally: Tally | None = None,
        logs_requests: bool = False,
        logs_content: bool = False,
    ) -> None:
        """`tally` is what outlives a reload; without one, counts go nowhere.

        `logs_content`: how system prompts begin may be kept.
        """
        self._tally = tally or Tally()
        self._logs_content = logs_content
        self._ledger = ledger
        self._registry = registry
        self._clock = clock
        self._logs_requests = logs_requests

    async def __call__(self, call: Call, forward: Service[Call]) -> Reply:
        self._ledger.open(call.id)
        try:
            reply = await forward(call)
        except BaseException as error:  # a bug too: what attempts cost must be written, and the account be closed
            account = self._ledger.account(call.id)
            self._write(call, account, None, _receipt(account), outcome=_outcome(error))
            raise
        began_at = self._clock.monotonic()
        return reply.on_close(lambda closed: self._close(closed, began_at))

    def _close(self, reply: Reply, began_at: float) -> None:
        call = reply.attempt.routed.call
        account = self._ledger.account(call.id)
        answer = _answering(account.reports, reply)
        usage = reply.usage if _is_kept(reply) else answer.usage if answer else None
        baseline = reply.route.baseline_model
        receipt = _receipt(account, baseline, self._baseline_cost(baseline, usage))
        reply.receipt = receipt
        self._note_beginning(reply, receipt, began_at - account.opened_at)
        self._write(call, account, reply, receipt, outcome=reply.outcome, answer=answer)

    def _note_beginning(self, reply: Reply, receipt: Receipt, took_s: float) -> None:
        """How long it took to begin, and what of that was ours: what one attempt, if any, was not waited for."""
        call = reply.attempt.routed.call
        if call.stream:
            self._tally.first_events.note(reply.attempt.model.name, took_s)
        if len(receipt.attempts) <= 1:
            self._tally.overheads.note(call.dialect, took_s - reply.first_wait_s)

    def _baseline_cost(self, model_name: str | None, usage: Usage | None) -> int | None:
        """What the tokens of the answer would have cost at the baseline model, at today's prices."""
        model = self._registry.models.get(model_name or "")
        if model is None or model.prices is None or usage is None:
            return None
        return cost_nanousd(usage, model.prices.rates_at(self._clock.time_ns() // 1_000_000_000, usage.input_total))

    def _write(
        self,
        call: Call,
        account: Account,
        reply: Reply | None,
        receipt: Receipt,
        *,
        outcome: str,
        answer: AttemptReport | None = None,
    ) -> None:
        """`reply` is None when nobody answered."""
        took_s = self._clock.monotonic() - account.opened_at
        route = sent = account.route if reply is None else reply.route
        cached = reply.cached if reply is not None else None
        if cached is not None and cached.is_kept:  # nothing was sent for it
            sent, answer = None, None
        parts = _input_parts(sent, answer)
        input_cost = answer.input_cost_nanousd if answer else None
        prompt = system_text(call.messages) if sent else ""
        opening, hashed = prompt[:PREVIEW_CHARS], text_hash(prompt)
        row = RequestRecorded(
            request_id=call.id,
            at_ns=self._clock.time_ns(),
            dialect=call.dialect,
            requested_model=call.model,
            model=reply.attempt.model.name if reply is not None else None,
            tier=route.tier if route else None,
            confidence=route.confidence if route else None,
            reason=route.reason if route else outcome,
            outcome=outcome,
            cost_nanousd=receipt.cost_nanousd,
            is_estimated=receipt.is_estimated,
            baseline_model=receipt.baseline_model,
            baseline_cost_nanousd=receipt.baseline_cost_nanousd,
            attempts=len(receipt.attempts),
            stream=call.stream,
            total_ms=round(took_s * 1000),
            overhead_us=None if receipt.overhead_s is None else round(receipt.overhead_s * 1_000_000),
            route=route,
            tags=call.tags,
            user=call.options.user,
            key=call.tenant.key,
            team=call.tenant.team,
            input_parts=parts,
            input_is_estimated=sent is not None and (answer is None or answer.is_estimated),
            input_cost_nanousd=input_cost,
            system_cost_nanousd=None if input_cost is None else share_nanousd(input_cost, parts.system, parts.total),
            system_hash=hashed,
            system_opening=hashed if opening == prompt else text_hash(opening),
            system_chars=len(prompt),
            system_preview=opening if self._logs_content and not call.options.no_log else "",
            cache=cached.state if cached else "",
            cache_saved_nanousd=cached.saved_nanousd if cached else None,
            session=session_of(call),
        )
        self._tally.request(row, took_s)
        for report in receipt.attempts:
            self._tally.attempt(report)
        if cached is not None:
            self._tally.cached[cached.state] += 1
        self._ledger.record(row)
        if self._logs_requests:
            _log_request(row, call)


def _receipt(account: Account, baseline: str | None = None, baseline_cost_nanousd: int | None = None) -> Receipt:
    reports = tuple(account.reports)
    return Receipt(
        cost_nanousd=sum([report.cost_nanousd or 0 for report in reports]),
        is_estimated=any(report.is_estimated for report in reports),
        attempts=reports,
        baseline_model=baseline,
        baseline_cost_nanousd=baseline_cost_nanousd,
        overhead_s=None if account.first_hold_at is None else account.first_hold_at - account.opened_at,
    )


def _is_kept(reply: Reply) -> bool:
    """The answer is the response cache's: no attempt of this request is behind it."""
    return reply.cached is not None and reply.cached.is_kept


def _answering(reports: Sequence[AttemptReport], reply: Reply) -> AttemptReport | None:
    """Of the attempts that were made, the one whose answer it is; as a rule the last to close."""
    for report in reversed(reports):
        if report.attempt_id == reply.attempt.id:
            return report
    return None


def _outcome(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "abandoned"
    return error.code if isinstance(error, RoutewrightError) else RoutewrightError.code


def _input_parts(route: Route | None, answer: AttemptReport | None) -> InputParts:
    """What the input consists of: of the answering attempt, else as it was estimated; nothing if nobody was asked."""
    if route is None:
        return NO_INPUT
    return route.input_parts if answer is None else scaled(route.input_parts, answer.usage.input_total)


def _log_request(row: RequestRecorded, call: Call) -> None:
    """What an operator looks for; never a word of what was asked or answered."""
    told = {name: getattr(row, name) for name in ("request_id", "model", "tier", "reason", "cost_nanousd", "total_ms")}
    if call.trace is not None:
        told["trace_id"] = call.trace.trace_id
    log.info("%s", row.outcome, extra=told)
