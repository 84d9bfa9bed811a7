"""compose.yaml, without an engine: it is YAML, what it names is there, and what it sets are settings."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from routewright.settings import load_settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
GATEWAYS = ("routewright", "replica-1", "replica-2")
NGINX = (ROOT / "deploy/nginx/routewright.conf").read_text()
GIVEN = {"ROUTEWRIGHT_KEY": "a-key-of-the-operator", "POSTGRES_PASSWORD": "secret", "HOME": "/nowhere"}
_VARIABLE = re.compile(r"\$\{(\w+)(?::?[-?]([^}]*))?\}")


def substituted(text: str) -> str:
    """With the variables of `.env`, or their defaults."""
    return _VARIABLE.sub(lambda found: GIVEN.get(found[1], found[2] or ""), text)


def environment(service: str) -> dict[str, str]:
    """What a gateway is given."""
    return {"HOME": "/nowhere"} | {name: substituted(value) for name, value in SERVICES[service]["environment"].items()}


def test_alone_there_is_one_gateway_and_scaled_two_behind_a_proxy() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["routewright"]
    scaled = [name for name, service in SERVICES.items() if service.get("profiles") == ["scale"]]
    assert scaled == ["replica-1", "replica-2", "proxy", "postgres", "redis"]
    assert set(SERVICES["proxy"]["depends_on"]) == {"replica-1", "replica-2"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_version_and_every_volume_is_there(name: str) -> None:
    service = SERVICES[name]
    assert re.search(r":\d", substituted(service["image"]))
    for volume in service.get("volumes", ()):
        source = volume.partition(":")[0]
        assert (ROOT / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "nobody else reaches it unless somebody says so"


@pytest.mark.parametrize("name", GATEWAYS)
def test_gateways_have_no_rights_and_time_to_end(name: str, tmp_path: Path) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert f"USER {service['user']}\n" in (ROOT / "Dockerfile").read_text()
    settings = load_settings(environ=environment(name), cwd=tmp_path)
    linger_s = lingers()
    assert int(service["stop_grace_period"].removesuffix("s")) >= linger_s + settings.server.drain_seconds + 10


def test_replicas_share_a_ledger_and_what_may_be_lost(tmp_path: Path) -> None:
    both = [load_settings(environ=environment(name), cwd=tmp_path) for name in GATEWAYS[1:]]
    assert both[0].ledger.database_url == both[1].ledger.database_url
    assert "@postgres/" in str(environment("replica-1")["ROUTEWRIGHT_LEDGER__DATABASE_URL"])
    assert all(settings.redis.url for settings in both)
    assert SERVICES["replica-1"]["volumes"] != SERVICES["replica-2"]["volumes"], "each has a journal of its own"
    assert all(settings.server.max_connections_per_address >= settings.server.max_connections for settings in both)


def test_nginx_has_the_replicas_and_lets_go_before_they_do() -> None:
    assert re.findall(r"server (\S+):8484", NGINX) == list(GATEWAYS[1:])
    (kept_s,) = re.findall(r"keepalive_timeout (\d+)s;", NGINX)
    assert int(kept_s) < lingers()
    assert "non_idempotent;" not in NGINX


def lingers() -> int:
    """What the image sets."""
    (found,) = re.findall(r"ROUTEWRIGHT_SERVER__LINGER_SECONDS=(\d+)", (ROOT / "Dockerfile").read_text())
    return int(found)
