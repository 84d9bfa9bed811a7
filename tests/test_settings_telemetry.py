from pathlib import Path

import pytest

from desk import Desk
from routewright.errors import SettingsError
from routewright.secret import Secret

OTEL = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example/otel/", "OTEL_SERVICE_NAME": "shop"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_opentelemetrys_own_variables_are_enough(desk: Desk) -> None:
    headers = "authorization=Basic%20c2VjcmV0%3D,x-scope=a=b,"
    settings = desk.load({**OTEL, "OTEL_EXPORTER_OTLP_HEADERS": headers})
    assert settings.telemetry.endpoint == "https://collector.example/otel"
    assert settings.telemetry.service_name == "shop"
    assert settings.telemetry_headers == {"authorization": Secret("Basic c2VjcmV0="), "x-scope": Secret("a=b")}
    assert "c2Vj" not in repr(settings)


def test_what_the_settings_say_goes_before_them(desk: Desk) -> None:
    desk.write('[telemetry]\nheaders = "env:MINE"\nservice_name = "other"\n')
    environ = {
        **OTEL,
        "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
        "MINE": "b=2",
        "ROUTEWRIGHT_TELEMETRY__SERVICE_NAME": "mine",
    }
    settings = desk.load(environ)
    assert settings.telemetry_headers == {"b": Secret("2")}
    assert settings.telemetry.service_name == "mine"


def test_without_an_endpoint_headers_mean_nothing(desk: Desk) -> None:
    assert desk.load({"OTEL_EXPORTER_OTLP_HEADERS": "nonsense"}).telemetry_headers == {}


@pytest.mark.parametrize("held", ["s3cret", "=s3cret", "na me=s3cret", "a=s3cret%0d%0ax:y", "a=s3cret%C3%A4"])
def test_headers_that_cannot_be_sent_are_refused_unseen(desk: Desk, held: str) -> None:
    with pytest.raises(SettingsError) as refused:
        desk.load({**OTEL, "OTEL_EXPORTER_OTLP_HEADERS": held})
    assert "telemetry.headers" in refused.value.message
    assert "s3cret" not in f"{refused.value.message} {refused.value.hint}"


def test_an_address_that_is_none_names_the_variable(desk: Desk) -> None:
    with pytest.raises(SettingsError, match="OTEL_EXPORTER_OTLP_ENDPOINT"):
        desk.load({"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317"})
