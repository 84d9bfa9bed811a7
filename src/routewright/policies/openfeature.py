"""Flags from an OpenFeature provider, which is asked in this process: three flags for each call, in the event loop.

The provider itself is used, not the SDK's global client: so there is nothing that two engines of a process would share.
A provider must answer from memory, as those with in-process evaluation do. One that waits for a network is noticed by
its time, and left alone for a while; whatever it raises is counted, told once in a while, and fails no request.
"""

import logging
from collections.abc import Mapping
from importlib import import_module
from threading import Event, Thread
from typing import Any

from routewright.call import Call
from routewright.clock import Clock
from routewright.errors import SettingsError
from routewright.policies.choice import Flagged

log = logging.getLogger(__name__)

ENABLED_FLAG = "routewright-enabled"
"""Boolean, true if it is not there: false is the kill switch."""
POLICY_FLAG = "routewright-policy"
"""String, empty if it is not there: the policy of this request."""
SHARES_FLAG = "routewright-shares"
"""Object, none if it is not there: policy → percent, in place of `[rollout.shares]`."""

SLOW_S = 0.05
"""For the three flags of a call; all requests of the process wait meanwhile."""
REST_S = 10.0
"""How long a provider is left alone that took longer."""
TOLD_EVERY_S = 60.0
START_S = 5.0
"""How long a start of ours waits for the provider's."""
START_AGAIN_S = 10.0
MOST_SHARES = 100


class OpenFeatureFlags:
    """`Flags` of one provider; until it has started, nothing can be found out."""

    def __init__(self, provider: Any, clock: Clock) -> None:
        """`provider` is a `FeatureProvider` of the SDK. Its start is waited for `START_S`, and goes on in a thread."""
        from openfeature.evaluation_context import EvaluationContext

        self._context = EvaluationContext
        self._provider = provider
        self._clock = clock
        self._is_ready = Event()
        self._is_closed = Event()
        self._rests_until = self._silent_until = clock.monotonic()
        Thread(target=self._start, name="routewright-flags", daemon=True).start()
        self._is_ready.wait(START_S)

    @classmethod
    def load(cls, place: str, clock: Clock) -> "OpenFeatureFlags":
        """The provider that `openfeature:module:Class` names; it is made without arguments. Raises SettingsError."""
        _, module, name = place.split(":")
        try:
            import openfeature.provider  # noqa: F401 only to see whether it is there
        except ImportError:
            raise SettingsError(
                "flags.provider: OpenFeature is not installed", hint="pip install 'routewright[flags]'"
            ) from None
        try:
            provider = getattr(import_module(module), name)()
        except Exception as error:  # foreign code: what is wrong with it is for its author, and no traceback of ours
            raise SettingsError(
                f"flags.provider: {module}:{name} cannot be loaded: {type(error).__name__}: {error}",
                hint="name a class, or a function, that makes a provider without being given anything",
            ) from error
        if not callable(getattr(provider, "resolve_boolean_details", None)):
            raise SettingsError(f"flags.provider: {module}:{name} makes no OpenFeature provider")
        return cls(provider, clock)

    def of(self, unit: str, call: Call) -> Flagged | None:
        """See `Flags.of`."""
        began = self._clock.monotonic()
        if not self._is_ready.is_set() or began < self._rests_until:
            return None
        tenant = call.tenant
        about = {"model": call.model, "key": tenant.key, "team": tenant.team, "tags": list(call.tags)}
        context = self._context(unit, about)
        try:
            is_on = self._asked("boolean", ENABLED_FLAG, True, context)
            policy = self._asked("string", POLICY_FLAG, "", context)
            shares = _shares(self._asked("object", SHARES_FLAG, {}, context))
        except Exception as error:  # noqa: BLE001 foreign code: whatever it raises must not fail a request
            self._tell(f"{type(error).__name__}: {error}", error)
            return None
        took_s = self._clock.monotonic() - began
        if took_s > SLOW_S:
            self._rests_until = began + took_s + REST_S
            self._tell(f"took {took_s * 1000:.0f} ms, and is left alone for {REST_S:.0f} s", None)
        return Flagged(is_on=is_on, policy=policy, shares=shares)

    def close(self) -> None:
        """See `Flags.close`."""
        self._is_closed.set()
        try:
            self._provider.shutdown()
        except Exception:  # foreign code, and nobody needs it any more
            log.exception("the provider of flags did not end well")

    def _asked(self, kind: str, flag: str, default: Any, context: Any) -> Any:
        """One flag's value. Raises whatever the provider does, and ValueError where it says that something is wrong."""
        from openfeature.exception import ErrorCode, FlagNotFoundError

        try:
            details = getattr(self._provider, f"resolve_{kind}_details")(flag, default, context)
        except FlagNotFoundError:
            return default
        if details.error_code is ErrorCode.FLAG_NOT_FOUND:
            return default
        if details.error_code is not None:
            raise ValueError(f"{flag}: {details.error_code} {details.error_message or ''}")
        if not isinstance(details.value, Mapping if kind == "object" else type(default)):
            raise ValueError(f"{flag} is not of the type {kind}: {details.value!r}")
        return details.value

    def _start(self) -> None:
        """Until it has started, or is not needed any more."""
        while not self._is_closed.is_set():
            try:
                self._provider.initialize(self._context())
            except Exception as error:  # foreign code; what it needs may be there later
                log.error("the provider of flags does not start, the base decides: %s", error, exc_info=error)
                self._is_closed.wait(START_AGAIN_S)
            else:
                self._is_ready.set()
                return

    def _tell(self, problem: str, error: Exception | None) -> None:
        now = self._clock.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + TOLD_EVERY_S
            log.error("flags cannot be read, the base decides: %s", problem, exc_info=error)


def _shares(value: Mapping[str, Any]) -> Mapping[str, float] | None:
    """None where nothing is said. Raises ValueError for what are no shares."""
    if len(value) > MOST_SHARES or not all(
        type(share) in (int, float) and 0 <= share <= 100 for share in value.values()
    ):
        raise ValueError(f"{SHARES_FLAG} does not give policies their percent: {value!r}")
    return value or None
