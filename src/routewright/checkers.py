"""Checks from any installed package: an entry point of the group `routewright.checks`.

It is a callable without arguments that returns a check: a callable that takes an answer and the call, and returns why
the answer does not do, in words, or an empty text. It runs in this process, in the event loop, and is trusted with
that; but a mistake in it must not cost an answer, so where it fails nothing is found.
"""

import logging
from collections.abc import Iterable

from routewright.call import Call
from routewright.decision.checks import Examine
from routewright.errors import SettingsError
from routewright.reply import Answer

log = logging.getLogger(__name__)

GROUP = "routewright.checks"
_MEND = "mend or upgrade its package, or take the check away"


class GuardedCheck:
    """A plug-in whose failures find nothing; the first is logged, with its trace."""

    def __init__(self, name: str, examine: Examine) -> None:
        self._name = name
        self._examine = examine
        self._has_failed = False

    def __call__(self, answer: Answer, call: Call) -> str:
        """See `Examine`."""
        try:
            return str(self._examine(answer, call) or "")
        except Exception:  # foreign code: whatever it raises, the answer goes on
            if not self._has_failed:
                self._has_failed = True
                log.exception("the check %s failed; whenever it does, it finds nothing", self._name)
            return ""


def load_checks(names: Iterable[tuple[str, str]]) -> dict[str, Examine]:
    """Those of these names, each with the setting that has it. Raises SettingsError."""
    return {name: _load(name, setting) for name, setting in names}


def _load(name: str, setting: str) -> Examine:
    from routewright.plug_ins import find_plug_in, make_plug_in  # reading what is installed takes its time

    point = find_plug_in(GROUP, name, setting)
    made = make_plug_in(point, setting, hint=_MEND)
    if not callable(made):
        raise SettingsError(f'{setting}: "{name}" ({point.value}) makes no check: it cannot be called', hint=_MEND)
    return GuardedCheck(name, made)
