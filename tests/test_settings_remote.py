"""Settings at an address: taken over when they are good, and what stays in force when they are not or cannot be had."""

import asyncio
import threading
from pathlib import Path

import pytest

from routewright.catalog.registry import Registry
from routewright.errors import SettingsError
from routewright.runtime import Runtime
from routewright.settings import Folders, load_settings
from routewright.settings import remote as module
from routewright.settings.addresses import Fetched, Unfetched
from routewright.settings.remote import RemoteSettings
from routewright.settings_source import SettingsSource
from routewright.simulator import Simulator
from routewright.testing import FakeClock
from terminal import Terminal

URL = "https://acme.example/routewright.toml"
ONE = """
[providers.acme]
base_url = "simulator:"
[models.one]
tier = "standard"
deployments = ["acme/one"]
context_window = 1000
price = { input = "1", output = "2" }
"""
TWO = ONE.replace("models.one", "models.two")


class Address:
    """What is at the address; None for nothing that answers."""

    def __init__(self, text: str | None) -> None:
        self.text = text
        self.asked: list[str] = []
        self.was_asked = threading.Event()

    def __call__(self, url: str, /, *, most_bytes: int, patience_s: float, redirects: int, etag: str) -> Fetched | None:
        self.asked.append(etag)
        self.was_asked.set()
        assert url == URL
        if self.text is None:
            raise Unfetched("cannot fetch https://acme.example/routewright.toml: no answer in time")
        now = f'"{hash(self.text)}"'
        return None if etag == now else Fetched(url, self.text.encode(), now)


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Address:
    there = Address(ONE)
    monkeypatch.setattr(RemoteSettings.__init__, "__defaults__", (there,))
    return there


def source(folder: Path) -> SettingsSource:
    return SettingsSource(environ={"HOME": str(folder), "ROUTEWRIGHT_CONFIG": URL}, cwd=folder)


def own(registry: Registry) -> str:
    """The model of these settings, beside those that are built in."""
    [name] = registry.models.keys() & {"one", "two"}
    return name


def is_told(runtime: Runtime) -> bool:
    """Whether health says that the settings in force may not be the newest."""
    return runtime.engine.settings_error is not None


async def test_changes_are_noticed_by_etag_and_taken_over(tmp_path: Path, address: Address) -> None:
    runtime = Runtime.open(source(tmp_path), simulator=Simulator(time_scale=0))
    assert own(runtime.engine.registry) == "one"
    runtime.poll()
    assert address.asked[-1] == f'"{hash(ONE)}"'
    address.text = TWO
    runtime.poll()
    assert own(runtime.engine.registry) == "two"
    await runtime.close()


async def test_k01_what_is_wrong_or_out_of_reach_changes_nothing_and_is_told(
    tmp_path: Path, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = Runtime.open(source(tmp_path), simulator=Simulator(time_scale=0))
    for text, told in (
        (ONE + "[polcy]", "unknown key"),
        ("", "is empty"),
        ("<html>Please log in</html>", "is not TOML"),
        ('[policy]\nbaseline = "gone"', "no model is called"),
        (None, "no answer in time"),
    ):
        address.text = text
        for _ in range(2):
            runtime.poll()
            assert runtime.engine.settings_error is not None
            assert told in runtime.engine.settings_error
        assert "https://acme.example/routewright.toml" in caplog.text
        assert caplog.text.count("not taken over") + caplog.text.count("those in force stay") == 1, "it is told once"
        assert own(runtime.engine.registry) == "one"
        caplog.clear()
    address.text = TWO
    runtime.poll()
    assert runtime.engine.settings_error is None
    assert own(runtime.engine.registry) == "two"
    await runtime.close()


async def test_an_outage_that_is_over_is_not_told_any_more(tmp_path: Path, address: Address) -> None:
    runtime = Runtime.open(source(tmp_path), simulator=Simulator(time_scale=0))
    address.text = None
    runtime.poll()
    assert is_told(runtime)
    address.text = ONE
    runtime.poll()
    assert not is_told(runtime)
    await runtime.close()


@pytest.mark.parametrize("text", [None, "[polcy]", ""])
async def test_a_start_goes_by_the_last_good_copy_when_there_is_nothing_better(
    tmp_path: Path, address: Address, text: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert own(source(tmp_path).load()[1]) == "one"
    address.text = text
    runtime = Runtime.open(source(tmp_path), simulator=Simulator(time_scale=0))
    assert own(runtime.engine.registry) == "one"
    assert is_told(runtime)
    assert "the last good copy of them is used" in caplog.text
    address.text = TWO
    runtime.poll()
    assert own(runtime.engine.registry) == "two"
    assert not is_told(runtime)
    await runtime.close()


@pytest.mark.parametrize(
    ("text", "told"), [(None, "no answer in time, and there is no copy of them here"), ("[polcy]", "unknown key")]
)
def test_a_first_start_without_any_good_settings_is_refused(
    tmp_path: Path, address: Address, text: str | None, told: str
) -> None:
    address.text = text
    with pytest.raises(SettingsError, match=told):
        source(tmp_path).load()


def test_only_what_is_good_is_kept_and_for_this_user_alone(tmp_path: Path, address: Address) -> None:
    it = source(tmp_path)
    it.load()
    [kept] = (Folders.of({"HOME": str(tmp_path)}).data / "settings").iterdir()
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (ONE, 0o600)
    address.text = "[polcy]"
    assert it.poll()
    with pytest.raises(SettingsError):
        it.load()
    assert kept.read_text() == ONE


def test_a_copy_that_cannot_be_kept_is_told_and_no_more(
    tmp_path: Path, address: Address, caplog: pytest.LogCaptureFixture
) -> None:
    data = Folders.of({"HOME": str(tmp_path)}).data
    data.mkdir(parents=True)
    (data / "settings").write_text("in the way")
    assert own(source(tmp_path).load()[1]) == "one"
    assert "cannot be kept" in caplog.text


def test_mistakes_are_told_with_their_line_at_the_address(tmp_path: Path, address: Address) -> None:
    address.text = "[policy]\ntreshold = 1\n"
    with pytest.raises(SettingsError, match=r"\(https://acme.example/routewright.toml:2:1\)"):
        load_settings(environ={"HOME": str(tmp_path)}, cwd=tmp_path, config=URL)


def test_an_address_with_a_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is given with a password") as refused:
        SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path, config="https://me:secret@acme.example/a")
    assert "secret" not in refused.value.message


def test_the_variable_may_name_a_file_too(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[server]\nport = 9000\n")
    environ = {"HOME": str(tmp_path), "ROUTEWRIGHT_CONFIG": str(tmp_path / "mine.toml")}
    assert load_settings(environ=environ, cwd=tmp_path).server.port == 9000


def test_a_verb_takes_an_address_too(tmp_path: Path, address: Address) -> None:
    checked = Terminal(tmp_path).run("config", "check", "--config", URL)
    assert (checked.exit_code, "the settings are valid" in checked.stdout) == (0, True)
    address.text = "[polcy]"
    (tmp_path / "elsewhere").mkdir()
    refused = Terminal(tmp_path / "elsewhere").run("keys", "list", "--config", URL)
    assert refused.exit_code == 78
    assert "(https://acme.example/routewright.toml:1:2)" in refused.stderr


def test_a_gateway_asks_the_address_again_and_again(tmp_path: Path, address: Address) -> None:
    clock = FakeClock()

    async def main() -> None:
        runtime = Runtime.open(source(tmp_path), simulator=Simulator(time_scale=0))
        following = asyncio.create_task(runtime.follow_address())
        address.was_asked.clear()
        assert await asyncio.to_thread(address.was_asked.wait, 10)
        following.cancel()
        await runtime.close()

    clock.run(main())


async def test_without_an_address_nothing_is_polled(tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text(ONE)
    it = SettingsSource(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    assert (it.is_remote, it.poll(), it.trouble) == (False, False, None)
    assert module.POLL_EVERY_S == 30
