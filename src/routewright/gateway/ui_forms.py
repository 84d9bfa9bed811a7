"""Forms of the dashboard that change something: keys, policies, batches. Whoever sends them has the role for it, from a
page of ours: the door has looked.

What they do is what the admin API does, by the same verbs; then they lead to the page that shows it.
"""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlencode

from routewright.access.description import changed, read_wish, told
from routewright.access.directory import Directory
from routewright.access.keyring import Keyring
from routewright.access.keys import VirtualKey
from routewright.dashboard.parameters import Parameters
from routewright.errors import InvalidRequest, JobRefused, StoreUnavailable
from routewright.gateway.batches_kept import KeptBatches, wish_of
from routewright.gateway.batches_running import BatchWork
from routewright.gateway.http import Request, Send
from routewright.gateway.ui import UI, Ui
from routewright.jobs.cancelling import cancel
from routewright.jobs.parts import PartStore
from routewright.ledger.budgets import Period
from routewright.policies.following import PolicyFollower
from routewright.policies.store import MOST_VERSIONS

log = logging.getLogger(__name__)

MOST_LIMIT = 1_000_000_000
_LIMITS = ("requests_per_minute", "tokens_per_minute", "concurrency")
_BUDGET = ("limit_usd", "period")


class UiForms:
    """The handlers. Stores may wait for a disk or a network, so they are asked from threads."""

    def __init__(
        self,
        ui: Ui,
        *,
        keyring: Keyring,
        directory: Directory,
        policies: PolicyFollower,
        batches: KeptBatches,
        work: BatchWork,
    ) -> None:
        self._ui = ui
        self._keyring = keyring
        self._directory = directory
        self._policies = policies
        self._batches = batches
        self._work = work

    # ---- keys

    async def create_key(self, request: Request, send: Send) -> None:
        """`POST /ui/keys`: the one answer that has the secret."""
        asked = await self._ui.fields(request, "name", "team", "role", "models", "expires", *_BUDGET, *_LIMITS)
        issued = await asyncio.to_thread(self._keyring.create, read_wish(_wish(asked)))
        await self._follow_keys()
        values = {"name": issued.key.name, "id": issued.key.id, "secret": issued.text.reveal()}
        await self._ui.show(request, send, "key_made.html", {"page": "keys", "title": "A new key", **values})

    async def revoke_key(self, request: Request, send: Send) -> None:
        """`POST /ui/keys/{id}/revoke`."""
        await self._ui.fields(request)
        await asyncio.to_thread(self._keyring.revoke, _named(request))
        await self._show_key(send, request)

    async def limit_key(self, request: Request, send: Send) -> None:
        """`POST /ui/keys/{id}/limits`: an empty field is no limit."""
        asked = await self._ui.fields(request, *_LIMITS)
        await self._change(request, send, {name: asked.whole(name, MOST_LIMIT) for name in _LIMITS})

    async def budget_key(self, request: Request, send: Send) -> None:
        """`POST /ui/keys/{id}/budget`: that of one period; an empty amount takes it away."""
        asked = await self._ui.fields(request, *_BUDGET)
        period = asked.choice("period", tuple(Period), Period.MONTH)

        def budgeted(key: VirtualKey) -> VirtualKey:
            others = [budget for budget in told(key, 0).budgets if budget.period != period]
            before = [{"limit_usd": each.limit_usd, "period": each.period, "is_hard": each.is_hard} for each in others]
            return changed(key, {"budgets": [*before, *_budgets(asked)]})

        await asyncio.to_thread(self._keyring.change, _named(request), budgeted)
        await self._show_key(send, request)

    async def _change(self, request: Request, send: Send, fields: Mapping[str, object]) -> None:
        await asyncio.to_thread(self._keyring.change, _named(request), partial(changed, fields=fields))
        await self._show_key(send, request)

    async def _show_key(self, send: Send, request: Request) -> None:
        await self._follow_keys()
        await self._ui.go_on(send, f"{UI}/keys/{_named(request)}")

    async def _follow_keys(self) -> None:
        try:
            await asyncio.to_thread(self._directory.refresh)
        except StoreUnavailable:  # what was done is done, and a key's text must not be lost
            log.warning("a change of the keys is in the store, and will be read from there as soon as it answers")

    # ---- policies

    async def roll_back(self, request: Request, send: Send) -> None:
        """`POST /ui/policies/rollback`."""
        asked = await self._ui.fields(request, "policy", "to", "reason")
        name, to = asked.text("policy"), asked.whole("to", MOST_VERSIONS)
        if name is None or to is None:
            raise InvalidRequest("policy and to are needed", hint="choose a version to put in force again")
        author = request.caller.tenant.key or "operator"
        reason = asked.text("reason") or ""
        await asyncio.to_thread(self._policies.store.rollback, name, author=author, to=to, reason=reason)
        await asyncio.to_thread(self._policies.refresh)
        await self._ui.go_on(send, f"{UI}/policies?{urlencode({'policy': name})}")

    # ---- batches

    async def cancel_batch(self, request: Request, send: Send) -> None:
        """`POST /ui/batches/{id}/cancel`: what is in flight is awaited, and what is answered is kept."""
        await self._ui.fields(request)
        await asyncio.to_thread(self._cancel, _named(request))
        await self._show_batch(send, request)

    def _cancel(self, job_id: str) -> None:
        """One that was made in a terminal, too: its process sees it, or there is none."""
        jobs = self._batches.jobs
        job = jobs.get(job_id)
        if wish_of(job) is not None:
            self._batches.cancel(job)
        else:
            cancel(jobs, PartStore(jobs.database), job, now_ns=self._ui.now_ns())

    async def resume_batch(self, request: Request, send: Send) -> None:
        """`POST /ui/batches/{id}/resume`: looked at now, where it could not go on and would be tried again later."""
        await self._ui.fields(request)
        job = await asyncio.to_thread(self._batches.jobs.get, _named(request))
        if wish_of(job) is None:
            raise JobRefused(
                f"{job.id} was made in a terminal",
                hint="say the same `routewright batch run` there again: it goes on where it was",
            )
        await self._show_batch(send, request)

    async def _show_batch(self, send: Send, request: Request) -> None:
        self._work.wake()
        await self._ui.go_on(send, f"{UI}/batches/{_named(request)}")


def _wish(asked: Parameters) -> dict[str, object]:
    """A key as the admin API is told of one."""
    expires = asked.text("expires")
    return {
        "name": asked.text("name") or "",
        "team": asked.text("team") or "",
        "roles": [asked.text("role") or "use"],
        "models": [name.strip() for name in (asked.text("models") or "").split(",") if name.strip()],
        "budgets": _budgets(asked),
        "expires_at": None if expires is None else f"{expires}T00:00:00Z",
        **{name: asked.whole(name, MOST_LIMIT) for name in _LIMITS},
    }


def _budgets(asked: Parameters) -> list[dict[str, object]]:
    """One, or none without an amount."""
    amount = asked.text("limit_usd")
    return [] if amount is None else [{"limit_usd": amount, "period": asked.text("period") or Period.MONTH}]


def _named(request: Request) -> str:
    """The part of the path that names what is acted on; whether there is such a thing, its store says."""
    return request.path.split("/")[3]
