"""The trials of peers, in small, on our gateway and on a bare proxy that stands for a peer."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from routewright.bench.processes import BenchFailed, running
from routewright.bench.programs import Ready, Running
from routewright.proofs import peer_faults, peer_money, peers
from routewright.proofs.contestants import CONTESTANTS, Contestant, Places
from routewright.proofs.figure import Figure
from routewright.proofs.part import NotHere, Run, Size
from routewright.proofs.peer_accounts import ACCOUNTS, Accounts, Entry
from routewright.proofs.peer_faults import Pairing
from routewright.proofs.side_by_side import NOTE, SETTINGS

QUICK = Run(size=Size.QUICK)


@contextmanager
def bare(places: Places, _: Path, folder: Path, ready: Ready) -> Iterator[Running]:
    """Passes everything on, and knows of nothing."""
    floor = ["-m", "routewright.bench.floor", "--upstream", places.mock.removesuffix("/v1")]
    with running("floor", floor, folder) as child:
        ready(child)
        yield Running(child, "0", 0.0, "floor --upstream …")


def absent(_: Places, place: Path, folder: Path, ready: Ready) -> AbstractContextManager[Running]:
    raise BenchFailed("cannot be installed: there is no network")


def of(figures: list[Figure], name: str, start: str) -> str:
    """What was measured of a gateway in the trial that begins so."""
    (found,) = (each for each in figures if each.name == name and each.what.startswith(start))
    return found.measured


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_faults, "STREAMS_CUT", 3)
    monkeypatch.setattr(peer_faults, "LIVE_STREAMS", 3)
    monkeypatch.setattr(peer_faults, "FAILING", (Pairing("pair-500", "answers 500", times=4),))
    monkeypatch.setattr(peer_faults, "HANGING", (Pairing("pair-hang", "never answers", times=1, patience_s=0.3),))
    monkeypatch.setattr(peer_money, "AT_ONCE", 40)
    monkeypatch.setattr(peer_money, "AFTERWARDS", 2)
    monkeypatch.setattr(peer_money, "TROUBLED_TIMES", 2)
    monkeypatch.setattr(peer_money, "SHAPED_TIMES", 2)
    monkeypatch.setattr(peer_money, "QUIET_S", 0.2)


@pytest.mark.usefixtures("small")
def test_faults_are_told_apart_in_the_same_trials(tmp_path: Path) -> None:
    contestants = {
        "routewright": CONTESTANTS["routewright"],
        "floor": Contestant(bare),
        "theirs": Contestant(bare, is_its_program=False),
        "gone": Contestant(absent),
    }
    seen: list[float] = []
    figures = peers.tried_by_faults(contestants, tmp_path, QUICK, seen.append)
    ours, floor = (
        {each.what for each in figures if each.name == name and not each.is_text} for name in ("routewright", "floor")
    )
    assert ours == floor, "each is tried in all of it"
    cut, ended = "streams of which its connection", "streams of which its body"
    assert of(figures, "routewright", cut) == "0; 0; 3 of 3"
    assert of(figures, "routewright", ended) == "0; 0; 3 of 3"
    assert of(figures, "floor", ended) == "0; 3; 0 of 3", "passed on as it came"
    assert of(figures, "routewright", "requests to two deployments of which one answers 500").startswith("4 of 4; ")
    assert of(figures, "floor", "requests to two deployments of which one answers 500").endswith("; 1.00")
    assert of(figures, "routewright", "JSON that breaks off as an answer") == "502, an error"
    assert of(figures, "floor", "JSON that breaks off as an answer") == "200, JSON that breaks off, as it came"
    assert of(figures, "routewright", "SIGTERM") == "3; 0 of 3"
    assert of(figures, "floor", "SIGTERM") == "0; 0 of 3"
    assert of(figures, "gone", NOTE) == "left out, as it cannot be installed: there is no network"
    assert 'deployments = ["mock/status-500_pair-500"' in of(figures, "routewright", SETTINGS)
    assert of(figures, "theirs", "SIGTERM") == "not tried"
    assert seen[-1] > 0


@pytest.mark.usefixtures("small")
def test_money_is_tried_where_there_are_accounts_and_none_is_no_failure(tmp_path: Path) -> None:
    ours = ACCOUNTS["routewright"]
    generous = Accounts(
        ours.run, lambda *asked: [Entry(0, is_estimated=False)] * len(ours.entries(*asked)), lambda _: None
    )
    accounts = {"routewright": ours, "generous": generous}
    figures = peers.tried_by_money(accounts, tmp_path, QUICK, lambda share: None)
    assert all(each.has_passed for each in figures)
    assert of(figures, "routewright", "the same, 2 more one after the other") == "2, by 402; $0"
    assert of(figures, "routewright", "a provider that answers 500") == "$0; $0"
    assert of(figures, "routewright", "clients that leave in the middle").endswith(", 2 flagged as estimates")
    assert of(figures, "routewright", "holds left open") == "0"
    assert of(figures, "routewright", "costs of 14 answers") == "0; $0"
    assert of(figures, "routewright", "costs of 14 streams") == "0; $0"
    assert of(figures, "generous", "costs of 14 answers").startswith("14 (plain 2, ")
    assert of(figures, "generous", "holds left open") == "makes none"
    assert of(figures, "portkey", "holds left open") == "has none"
    assert of(figures, "portkey", NOTE).startswith("has none: ")


def test_ours_alone_is_no_trial(tmp_path: Path) -> None:
    with pytest.raises(NotHere, match="gone: left out, as it cannot be installed"):
        peers.tried_by_faults({"gone": Contestant(absent)}, tmp_path, QUICK, lambda share: None)


@pytest.mark.parametrize("part", peers.PARTS)
def test_without_a_place_to_install_them_none_is_tried(part: str) -> None:
    with pytest.raises(NotHere, match="--peers"):
        peers.PARTS[part](QUICK, lambda share: None)
