import pytest

from builders import Below, attempt
from routewright.errors import CredentialRefused, ProviderError, ProviderFailed, TlsFailed
from routewright.layers.credentials import Refusals
from routewright.layers.incidents import MOST_UNTOLD, TOLD_AGAIN_AFTER_S, Incidents, Kind, Watch
from routewright.testing import FakeClock


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TlsFailed("no trusted connection"), Kind.TLS),
        (CredentialRefused("refused", provider_status=401), Kind.CREDENTIAL),
        (ProviderFailed("down"), None),
    ],
)
async def test_only_what_an_operator_can_mend_is_an_incident(error: ProviderError, kind: Kind | None) -> None:
    incidents = Incidents(FakeClock())
    with pytest.raises(type(error)):
        await Watch(incidents, Refusals(), FakeClock())(attempt(), Below(error))
    assert [each.kind for each in incidents.take(9)] == ([kind] if kind else [])
    assert list(incidents.counts.values()) == ([1] if kind else [])


def test_all_are_counted_and_the_first_of_each_kind_is_told_once_an_hour() -> None:
    clock = FakeClock()
    incidents = Incidents(clock)
    for _ in range(3):
        incidents.note("acme/one", Kind.USAGE, "odd")
        incidents.note("acme/two", Kind.USAGE, "odd")
        clock.advance(TOLD_AGAIN_AFTER_S / 2)
    told = [each.deployment for each in incidents.take(3)]
    told += [each.deployment for each in incidents.take(3)]
    assert told == ["acme/one", "acme/two"] * 2
    assert incidents.take(9) == []
    assert incidents.counts == {("acme/one", Kind.USAGE): 3, ("acme/two", Kind.USAGE): 3}


def test_where_nobody_fetches_them_the_oldest_go() -> None:
    incidents = Incidents(FakeClock())
    for number in range(MOST_UNTOLD + 1):
        incidents.note(f"acme/{number}", Kind.TLS, "bad")
    assert incidents.take(MOST_UNTOLD + 9)[0].deployment == "acme/1"
