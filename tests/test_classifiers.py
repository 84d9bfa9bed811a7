"""Plug-ins, as they are installed: a module and its `.dist-info` folder on the path."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from builders import call
from routewright.catalog.registry import Tier
from routewright.classifiers import GuardedClassifier, load_classifier
from routewright.decision.classifier import HeuristicClassifier
from routewright.decision.features import extract
from routewright.errors import SettingsError
from routewright.runtime import Runtime
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator

Install = Callable[..., None]
FEATURES = extract(call("Translate this into French: good morning"))
GOOD = """
    from routewright.catalog.registry import Tier
    from routewright.route import Verdict

    class Always:
        name = "always@1"

        def classify(self, features):
            return Verdict(tier=Tier.COMPLEX, confidence=0.9, reason="always", classifier=self.name)
    """


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package with one module and one entry point."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(
        source: str, *, name: str = "always", module: str = "plug_in_of_a_test", target: str = "Always"
    ) -> None:
        monkeypatch.delitem(sys.modules, module, raising=False)
        (tmp_path / f"{module}.py").write_text(dedent(source))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[routewright.classifiers]\n{name} = {module}:{target}\n")

    return install


def classifying(body: str) -> str:
    """A plug-in whose `classify` has this body."""
    return dedent(GOOD).replace(
        'return Verdict(tier=Tier.COMPLEX, confidence=0.9, reason="always", classifier=self.name)', body
    )


def test_the_built_in_classifier_has_a_name() -> None:
    assert isinstance(load_classifier("heuristic"), HeuristicClassifier)


def test_an_installed_plug_in_is_found_by_its_name(install: Install) -> None:
    install(GOOD)
    classifier = load_classifier("always")
    assert classifier.name == "always@1"
    assert classifier.classify(FEATURES).tier is Tier.COMPLEX


def test_no_plug_in_takes_the_name_of_a_built_in(install: Install) -> None:
    install(GOOD, name="heuristic")
    assert isinstance(load_classifier("heuristic"), HeuristicClassifier)


def test_a_name_that_nobody_has_is_told_with_those_that_there_are(install: Install) -> None:
    install(GOOD)
    with pytest.raises(
        SettingsError, match=r'no classifier is called "alway"; there are: learned, heuristic, always'
    ) as refused:
        load_classifier("alway")
    assert "routewright.classifiers" in (refused.value.hint or "")


def test_a_name_in_two_packages_is_refused(install: Install) -> None:
    install(GOOD)
    install(GOOD, module="other_plug_in_of_a_test")
    with pytest.raises(SettingsError, match="in several packages: other_plug_in_of_a_test:Always, plug_in_of_a_test"):
        load_classifier("always")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nothing_of_that_name", "cannot be loaded: ModuleNotFoundError"),
        ("Other = 1", "cannot be loaded: AttributeError"),
        ("def Always(): raise OSError('no weights')", "cannot be loaded: OSError: no weights"),
        ("Always = dict", "makes no classifier"),
    ],
)
def test_a_plug_in_that_cannot_be_made_is_told(install: Install, source: str, told: str) -> None:
    install(source)
    with pytest.raises(SettingsError, match=told):
        load_classifier("always")


@pytest.mark.parametrize(
    "body",
    [
        "raise KeyError('weights')",
        "return None",
        "return Verdict(tier='huge', confidence=0.9, reason='', classifier='x')",
        "return Verdict(tier=Tier.BULK, confidence=1.01, reason='', classifier='x')",
        "return Verdict(tier=Tier.BULK, confidence=-0.01, reason='', classifier='x')",
        "return Verdict(tier=Tier.BULK, confidence=float('nan'), reason='', classifier='x')",
        "return Verdict(tier=Tier.BULK, confidence='high', reason='', classifier='x')",
        "return Verdict(tier=Tier.BULK, confidence=0.9, reason=object(), classifier='x')",
    ],
)
def test_where_a_plug_in_fails_the_heuristic_answers_and_it_is_logged_once(
    install: Install, caplog: pytest.LogCaptureFixture, body: str
) -> None:
    install(classifying(body))
    classifier = load_classifier("always")
    with caplog.at_level(logging.ERROR):
        verdicts = [classifier.classify(FEATURES) for _ in range(3)]
    assert verdicts == [HeuristicClassifier().classify(FEATURES)] * 3
    assert [record.getMessage().split(";")[0] for record in caplog.records] == ["the classifier always@1 failed"]


def test_a_guard_changes_nothing_of_a_good_verdict() -> None:
    heuristic = HeuristicClassifier()
    assert GuardedClassifier(heuristic).classify(FEATURES) == heuristic.classify(FEATURES)


async def test_the_settings_name_it_and_a_reload_keeps_the_last_good_one(
    install: Install, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    install(GOOD)
    settings = tmp_path / "routewright.toml"
    settings.write_text('[policy]\nclassifier = "always"\n')
    source = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, simulate=True)
    runtime = Runtime.open(source, simulator=Simulator(time_scale=0))
    assert runtime.engine.route(call()).classifier == "always@1"
    settings.write_text('[policy]\nclassifier = "never"\n')
    runtime.reload()
    assert 'no classifier is called "never"' in caplog.text
    assert runtime.engine.settings_error is not None
    assert runtime.engine.route(call()).classifier == "always@1"
    await runtime.close()
