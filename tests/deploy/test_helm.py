"""The Helm chart, linted and rendered by Helm itself, as its SDK for Python has it."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from routewright.settings import load_settings

helm: Any = pytest.importorskip("helm_python", reason="the SDK of Helm is not installed")

CHART = Path(__file__).parents[2] / "deploy/helm/routewright"
WORST_ALLOWED = 1
"""Helm's "info": the chart has no icon."""
EVERYTHING = {
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "imagePullSecrets": [{"name": "pull"}],
    "podAnnotations": {"team": "platform"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "llm", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "journal": {"size": "5Gi", "storageClassName": "fast"},
}


def rendered(values: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """What would be applied, by kind."""
    manifests = helm.Chart.load(str(CHART)).render(values or {}, name="gw", namespace="llm")
    documents = [yaml.safe_load(text) for name, text in manifests.items() if name.endswith(".yaml")]
    return {document["kind"]: document for document in documents if document}


def pod(kinds: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The template of the pods."""
    template: dict[str, Any] = kinds["StatefulSet"]["spec"]["template"]
    return template


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_helm_finds_nothing_wrong(values: dict[str, Any]) -> None:
    found = helm.lint(str(CHART), values, strict=True)
    assert found["errors"] == []
    assert [each for each in found["messages"] if each["severity"] > WORST_ALLOWED] == []


def test_only_what_is_asked_for_is_made() -> None:
    assert rendered().keys() == {"ConfigMap", "Service", "StatefulSet", "PodDisruptionBudget"}
    assert rendered(EVERYTHING).keys() == rendered().keys() | {"HorizontalPodAutoscaler", "ServiceMonitor"}


def test_pods_have_no_rights_and_write_to_their_volumes_alone() -> None:
    spec = pod(rendered())["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    allowed = container["securityContext"]
    assert (allowed["readOnlyRootFilesystem"], allowed["allowPrivilegeEscalation"]) == (True, False)
    assert allowed["capabilities"] == {"drop": ["ALL"]}
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in spec["volumes"]} | {"journal"}


def test_a_pod_is_given_the_time_that_it_may_take_to_end(tmp_path: Path) -> None:
    for values in ({}, {"server": {"lingerSeconds": 10, "drainSeconds": 600}, "preStopSeconds": 20}):
        spec = pod(rendered(values))["spec"]
        (container,) = spec["containers"]
        environ = {each["name"]: each["value"] for each in container["env"]} | {"ROUTEWRIGHT_KEY": "k" * 20}
        server = load_settings(environ={**environ, "HOME": str(tmp_path)}, cwd=tmp_path).server
        waits_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert waits_s > 0
        assert spec["terminationGracePeriodSeconds"] >= waits_s + server.linger_seconds + server.drain_seconds + 10
        assert container["ports"][0]["containerPort"] == server.port


def test_probes_ask_where_the_gateway_answers() -> None:
    (container,) = pod(rendered())["spec"]["containers"]
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startupProbe": "/readyz",
        "readinessProbe": "/readyz",
        "livenessProbe": "/healthz",
    }
    assert {get["port"] for get in asked.values()} == {container["ports"][0]["name"]}


def test_what_selects_pods_selects_these() -> None:
    kinds = rendered(EVERYTHING)
    labels = pod(kinds)["metadata"]["labels"].items()
    assert kinds["StatefulSet"]["spec"]["selector"]["matchLabels"].items() <= labels
    assert kinds["Service"]["spec"]["selector"].items() <= labels
    assert kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"].items() <= labels
    monitor = kinds["ServiceMonitor"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= kinds["Service"]["metadata"]["labels"].items()
    assert monitor["spec"]["endpoints"][0]["port"] == kinds["Service"]["spec"]["ports"][0]["name"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    scaled = kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (scaled["kind"], scaled["name"]) == ("StatefulSet", kinds["StatefulSet"]["metadata"]["name"])


def test_an_autoscaler_alone_says_how_many_there_are() -> None:
    assert rendered()["StatefulSet"]["spec"]["replicas"] == 2
    assert "replicas" not in rendered(EVERYTHING)["StatefulSet"]["spec"]


def test_the_settings_are_settings_and_the_version_is_the_packages(tmp_path: Path) -> None:
    (tmp_path / "routewright.toml").write_text(rendered()["ConfigMap"]["data"]["routewright.toml"])
    load_settings(environ={"HOME": str(tmp_path)}, cwd=tmp_path)
    pyproject = importlib.import_module("tomllib").loads((CHART.parents[2] / "pyproject.toml").read_text())
    assert pod(rendered())["spec"]["containers"][0]["image"] == f"routewright:{pyproject['project']['version']}"
