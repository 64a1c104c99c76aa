"""The farm of the photon simulation for a Swarm and for Kubernetes: right by schemas, and as compose has it."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from std_daq.photons.config import DEFAULT_BACKEND, DEFAULT_FRONTEND
from std_daq.photons.tanks import small_tank
from std_test_kit.engine import image_tag

FARM = Path(__file__).parents[2] / "docker" / "farm"
VERSIONS = ["1.34", kubernetes_validate.latest_version()]
HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
Document = dict[str, Any]


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> list[Document]:
    """What kustomize makes of the folder with a user's geometry file in it."""
    if shutil.which("kubectl") is None:
        (pytest.fail if pytestconfig.getoption("require_containers") else pytest.skip)("there is no kubectl")
    folder = tmp_path_factory.mktemp("farm") / "kubernetes"
    shutil.copytree(FARM / "kubernetes", folder)
    (folder / "geometry.json").write_text(json.dumps(small_tank()))
    made = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def container_of(documents: list[Document], name: str) -> Document:
    (container,) = of_kind(documents, "Deployment")[name]["spec"]["template"]["spec"]["containers"]
    return dict(container)


@pytest.mark.parametrize("version", VERSIONS)
def test_each_document_is_right_by_the_schema_of(version: str, documents: list[Document]) -> None:
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_pods_are_hardened_and_say_who_speaks_to_whom(documents: list[Document]) -> None:
    policies = [document["spec"] for document in of_kind(documents, "NetworkPolicy").values()]
    for name, deployment in of_kind(documents, "Deployment").items():
        template = deployment["spec"]["template"]
        container = container_of(documents, name)
        assert container["securityContext"] == HARDENED
        assert container["image"] == f"std-daq/sim-{name}:{image_tag()}"
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys()
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert template["spec"]["automountServiceAccountToken"] is False
        mounted = [mount["name"] for mount in container["volumeMounts"]]
        assert sorted(mounted) == sorted(volume["name"] for volume in template["spec"]["volumes"])
        labels = template["metadata"]["labels"].items()
        (policy,) = (one for one in policies if one["podSelector"]["matchLabels"].items() <= labels)
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        (budget,) = (
            one
            for one in of_kind(documents, "PodDisruptionBudget").values()
            if one["spec"]["selector"]["matchLabels"].items() <= labels
        )
        assert budget["metadata"]["name"] == name
        ports = {port["name"] for port in container["ports"]}
        allowed = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
        assert allowed == ports, "each port is open to those who need it"


def test_workers_find_the_router_at_the_port_where_it_waits_for_them(documents: list[Document]) -> None:
    service = of_kind(documents, "Service")["router"]
    ports = {port["targetPort"]: port["port"] for port in service["spec"]["ports"]}
    listening = {port["name"]: port["containerPort"] for port in container_of(documents, "router")["ports"]}
    assert ports == {name: listening[name] for name in ("clients", "workers")}
    arguments = container_of(documents, "worker")["args"]
    assert arguments[arguments.index("--router") + 1] == f"tcp://{service['metadata']['name']}:{ports['workers']}"
    selector = service["spec"]["selector"].items()
    assert selector <= of_kind(documents, "Deployment")["router"]["spec"]["template"]["metadata"]["labels"].items()


def test_the_autoscaler_alone_says_how_many_workers_there_are(documents: list[Document]) -> None:
    (autoscaler,) = of_kind(documents, "HorizontalPodAutoscaler").values()
    target = of_kind(documents, "Deployment")[autoscaler["spec"]["scaleTargetRef"]["name"]]
    assert "replicas" not in target["spec"]
    container = container_of(documents, "worker")
    threads = container["args"][container["args"].index("--threads") + 1]
    assert container["resources"]["requests"]["cpu"] == threads, "utilisation counts from what is requested"
    assert of_kind(documents, "Deployment")["router"]["spec"]["replicas"] == 1


def test_workers_get_the_geometry_under_a_name_that_changes_with_it(documents: list[Document]) -> None:
    (name,) = of_kind(documents, "ConfigMap")
    assert re.fullmatch(r"geometry-\w+", name)
    volumes = of_kind(documents, "Deployment")["worker"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "geometry", "configMap": {"name": name}} in volumes


def test_the_stack_is_hardened_publishes_nothing_and_kills_nobody_who_waits() -> None:
    ignored = {"security_opt", "shm_size", "cpuset", "restart", "network_mode", "privileged", "devices", "ipc", "pid"}
    for name, service in stack()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["deploy"]["resources"]["limits"].keys() >= {"memory", "pids"}, name
        assert ignored.isdisjoint(service), f"{name}: a Swarm ignores it"
        assert "ports" not in service, f"{name}: a Swarm publishes on all addresses of all nodes"
        assert service["healthcheck"]["test"][-1] == "--live", name
    assert stack()["services"]["router"]["deploy"]["replicas"] == 1


def test_stack_manifests_and_compose_start_the_same_commands(documents: list[Document]) -> None:
    compose = yaml.safe_load((FARM / "compose.yaml").read_text())["services"]
    for name in ("router", "worker"):
        commands = [
            compose[name]["command"], stack()["services"][name]["command"], container_of(documents, name)["args"]
        ]  # fmt: skip
        for command in commands:
            options = dict(zip(command[::2], command[1::2], strict=True))
            expected = {"--frontend", "--backend"} if name == "router" else {"--geometry", "--router", "--threads"}
            assert expected <= options.keys() <= expected | {"--seed"}
            addresses = {key: value for key, value in options.items() if value.startswith("tcp:")}
            for key, address in addresses.items():
                default = DEFAULT_FRONTEND if key == "--frontend" else DEFAULT_BACKEND
                assert address.rsplit(":", 1)[1] == default.rsplit(":", 1)[1], f"{name} {key}"


def stack() -> Document:
    return dict(yaml.safe_load((FARM / "stack.yml").read_text()))
