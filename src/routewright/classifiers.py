"""Which classifier the settings name: one of ours, or a plug-in from any installed package.

A plug-in is an entry point of the group `routewright.classifiers`: a callable without arguments that returns a
`decision.classifier.Classifier`. It runs in this process, for every request that is to be classified, and is trusted
with that; but a mistake in it must not cost a request, so its verdicts are checked, and where it fails the heuristic
classifier answers.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from routewright.decision.classifier import Classifier, HeuristicClassifier
from routewright.decision.features import Features
from routewright.errors import ArtefactError, SettingsError
from routewright.route import Verdict

if TYPE_CHECKING:  # it needs numpy, which is imported when there is something to decide with it
    from routewright.decision.artefact import Artefact

log = logging.getLogger(__name__)

GROUP = "routewright.classifiers"
LEARNED = "learned"
BUILT_IN: Mapping[str, Callable[[], Classifier]] = {LEARNED: HeuristicClassifier, "heuristic": HeuristicClassifier}
"""Ours; no plug-in can take such a name. Of the learned one, which the engine makes, this is the stand-in."""


def load_artefact(path: Path | None) -> "Artefact":
    """The trained part of the decision: the file at `path`, or the one that ships. Raises ArtefactError."""
    from routewright.decision.artefact import load

    place = path or Path(__file__).parent / "data" / "kinds.artefact"
    try:
        return load(place.read_bytes())
    except OSError as error:
        raise ArtefactError(f"the artefact {place} cannot be read: {error.strerror}", hint=_MEND) from error
    except ArtefactError as error:
        raise ArtefactError(f"the artefact {place} cannot be used: {error.message}", hint=_MEND) from error


_MEND = "install routewright anew, name another one (policy.artefact), or make one: routewright train"


class GuardedClassifier:
    """A plug-in whose every verdict is checked; the heuristic classifier stands in for one that is not to be used.

    The first failure is logged, with its trace; the others would only repeat it.
    """

    def __init__(self, plug_in: Classifier) -> None:
        self._plug_in = plug_in
        self._stand_in = HeuristicClassifier()
        self._has_failed = False

    @property
    def name(self) -> str:
        """The plug-in's; a verdict of the stand-in says that it is the stand-in's."""
        return self._plug_in.name

    def classify(self, features: Features) -> Verdict:
        """The plug-in's verdict, or the stand-in's."""
        try:
            return _checked(self._plug_in.classify(features))
        except Exception:  # foreign code: whatever it raises, the request goes on
            if not self._has_failed:
                self._has_failed = True
                log.exception("the classifier %s failed; the heuristic one stands in whenever it does", self.name)
            return self._stand_in.classify(features)


def load_classifier(name: str) -> Classifier:
    """The classifier of this name. Raises SettingsError, which says what there is, or why it cannot be loaded."""
    built_in = BUILT_IN.get(name)
    return built_in() if built_in is not None else GuardedClassifier(_make(name))


def _make(name: str) -> Classifier:
    from routewright.plug_ins import find_plug_in, make_plug_in  # reading what is installed takes its time

    point = find_plug_in(GROUP, name, "policy.classifier", BUILT_IN)
    made = make_plug_in(point, "policy.classifier", hint=_OTHER)
    if not isinstance(getattr(made, "name", None), str) or not callable(getattr(made, "classify", None)):
        raise SettingsError(
            f'policy.classifier: "{name}" ({point.value}) makes no classifier: it needs a name and classify(…)',
            hint=_OTHER,
        )
    return cast(Classifier, made)


_OTHER = 'mend or upgrade its package, or set classifier = "heuristic"'


def _checked(verdict: object) -> Verdict:
    """The verdict, every field of it what it should be. Raises msgspec.ValidationError and ValueError."""
    checked = msgspec.convert(msgspec.to_builtins(verdict), Verdict)
    if not 0 <= checked.confidence <= 1:  # not of NaN either
        raise ValueError(f"a confidence is a number from 0 to 1, not {checked.confidence}")
    return checked
