from pathlib import Path

import pytest

from routewright.bench.configurations import CONFIGURATIONS, Configuration
from routewright.bench.processes import Child, environment
from routewright.bench.settings import write_settings
from routewright.bench.unledgered import NoJournal
from routewright.settings_source import SettingsSource


@pytest.mark.parametrize("configuration", CONFIGURATIONS, ids=lambda each: each.name)
def test_every_configuration_can_be_loaded(configuration: Configuration, tmp_path: Path) -> None:
    upstream = Child(name="upstream", pid=0, host="127.0.0.1", port=1)
    config = write_settings(tmp_path, upstream, more=configuration.settings)
    settings, _ = SettingsSource(environ=environment(tmp_path), cwd=tmp_path, config=config).load()
    hard = [budget for budget in settings.budgets.values() if budget.kind == "hard"]
    assert (len(hard) >= 3) == (configuration.name == "budgets")


async def test_without_a_journal_nothing_is_written_or_waited_for(tmp_path: Path) -> None:
    journal = NoJournal(tmp_path)
    before = journal.position
    position = journal.append(b"held")
    await journal.durable(position + 1)
    assert (position, journal.position, journal.backlog_bytes) == (before, before, 0)
    journal.close()
