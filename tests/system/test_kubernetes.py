"""What kustomize makes of docker/kubernetes: right by Kubernetes' schemas, by our rules, and by detector.json.

Secrets are made up; the rest is rendered as ``kubectl apply -k`` does.
"""

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_test_kit.engine import image_tag

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted(path.name for path in (ROOT / "docker/kubernetes/overlays").iterdir())
# The oldest that Kubernetes itself still looked after when this was written, and the newest that the schemas know.
VERSIONS = ["1.34", kubernetes_validate.latest_version()]
OLDEST_KUSTOMIZE = (5, 0)
SECRET_FILE = re.compile(r"(?:[\w.-]+=)?(secrets/[\w./-]+)")
PUBLIC_FILE = re.compile(r"ca\.pem|.*-cert\.pem")
HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "capabilities": {"drop": ["ALL"]},
}
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

Document = dict[str, Any]


def kustomize_version(kubectl: str) -> tuple[int, ...]:
    answer = subprocess.run(
        [kubectl, "version", "--client", "--output", "json"], capture_output=True, text=True, timeout=30, check=True
    )
    found = json.loads(answer.stdout).get("kustomizeVersion", "v0.0")
    return tuple(map(int, found.removeprefix("v").split(".")[:2]))


@pytest.fixture(scope="module")
def kubectl(pytestconfig: pytest.Config) -> str:
    """A kubectl with a kustomize that knows what the manifests are written in; Debian 12's (1.20) does not."""
    found = shutil.which("kubectl")
    if found is None or kustomize_version(found) < OLDEST_KUSTOMIZE:
        reason = "there is no kubectl of version 1.27 or newer: https://kubernetes.io/docs/tasks/tools/"
        (pytest.fail if pytestconfig.getoption("require_containers") else pytest.skip)(reason)
    return str(found)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of docker/ with secrets in it."""
    tree = tmp_path_factory.mktemp("docker") / "docker"
    shutil.copytree(ROOT / "docker", tree, ignore=shutil.ignore_patterns("secrets", ".env", "data", "wheelhouse"))
    for kustomization in tree.rglob("kustomization.yaml"):
        for secret in SECRET_FILE.findall(kustomization.read_text()):
            file = kustomization.parent / secret
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{'public' if PUBLIC_FILE.fullmatch(file.name) else 'secret of'} {file.name}")
    return tree


@pytest.fixture(scope="module", params=OVERLAYS)
def documents(request: pytest.FixtureRequest, kubectl: str, tree: Path) -> list[Document]:
    """All documents of an overlay."""
    made = subprocess.run(
        [kubectl, "kustomize", str(tree / "kubernetes/overlays" / request.param)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    assert made.stderr == "", "kustomize warns, as of what is deprecated"
    return list(yaml.safe_load_all(made.stdout))


def of_kind(documents: list[Document], kind: str) -> dict[str, Document]:
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def pod_templates(documents: list[Document]) -> dict[str, Document]:
    kinds = ("StatefulSet", "Deployment", "DaemonSet", "Job")
    return {name: document["spec"]["template"] for kind in kinds for name, document in of_kind(documents, kind).items()}


def containers(template: Document) -> Iterator[Document]:
    yield from template["spec"].get("initContainers", [])
    yield from template["spec"]["containers"]


def services(documents: list[Document]) -> Iterator[tuple[Document, Document]]:
    """Each container that runs one of our services, with its pod."""
    for template in pod_templates(documents).values():
        for container in template["spec"]["containers"]:
            if container["name"] not in ("rabbitmq", "tools"):
                yield container, template["spec"]


def bytes_of(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def configmaps(volume: Document) -> list[Document]:
    """The ConfigMaps that a volume shows."""
    if "projected" in volume:
        return [source["configMap"] for source in volume["projected"]["sources"]]
    return [volume["configMap"]] if "configMap" in volume else []


def configuration(documents: list[Document], pod: Document, tmp_path: Path) -> DetectorConfig:
    """The detector.json that the containers of a pod see, loaded as they load it."""
    (volume,) = (volume for volume in pod["volumes"] if volume["name"] == "detector")
    (text,) = (
        of_kind(documents, "ConfigMap")[configmap["name"]]["data"]["detector.json"]
        for configmap in configmaps(volume)
        if "items" not in configmap
    )
    file = tmp_path / "detector.json"
    file.write_text(text)
    return load_config(file)


def instances(option: str, values: Iterable[str]) -> list[list[str]]:
    """The arguments of each process of a kind; of a single one none are needed."""
    arguments = [[option, value] for value in values]
    return arguments if len(arguments) > 1 else [[] for _ in arguments]


def data_planes(documents: list[Document]) -> list[Document]:
    return [
        template["spec"]
        for template in pod_templates(documents).values()
        if any(volume["name"] == "rings" for volume in template["spec"]["volumes"])
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_document_is_right_by_the_schema_of(version: str, documents: list[Document]) -> None:
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)


def test_every_container_is_hardened(documents: list[Document]) -> None:
    for template in pod_templates(documents).values():
        for container in containers(template):
            assert container["securityContext"] == HARDENED, container["name"]
            assert "limits" in container["resources"], container["name"]


def test_no_pod_is_root_or_may_speak_to_the_api(documents: list[Document]) -> None:
    for template in pod_templates(documents).values():
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostPID", "hostIPC"} & pod.keys()
        for volume in pod["volumes"]:
            assert volume.keys() - {"name"} <= {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
    assert {"Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}.isdisjoint(d["kind"] for d in documents)


def test_namespace_forbids_what_is_not_restricted_unless_receivers_need_the_network_of_the_host(
    documents: list[Document],
) -> None:
    (namespace,) = of_kind(documents, "Namespace").values()
    of_the_host = [pod["spec"] for pod in pod_templates(documents).values() if pod["spec"].get("hostNetwork")]
    level = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert level == ("privileged" if of_the_host else "restricted")
    for pod in of_the_host:
        assert any(container["image"].startswith("std-daq/udp-recv:") for container in pod["containers"])
        assert pod["dnsPolicy"] == "ClusterFirstWithHostNet"


def test_images_are_targets_of_the_dockerfile_with_the_tag_of_the_checkout(documents: list[Document]) -> None:
    targets = {entry.name for entry in entry_points(group="std_daq.services")} | {"tools"}
    for template in pod_templates(documents).values():
        for container in containers(template):
            name, _, tag = container["image"].removeprefix("std-daq/").partition(":")
            assert tag == image_tag(), container["name"]
            assert name in targets | {"rabbitmq"}, container["name"]


def test_each_mount_has_a_volume_and_each_volume_is_mounted(documents: list[Document]) -> None:
    for document in of_kind(documents, "StatefulSet").values():
        template = document["spec"]["template"]
        claims = document["spec"].get("volumeClaimTemplates", [])
        volumes = [volume["name"] for volume in template["spec"].get("volumes", [])]
        volumes += [claim["metadata"]["name"] for claim in claims]
        mounted = {mount["name"] for container in containers(template) for mount in container["volumeMounts"]}
        assert mounted == set(volumes)
        assert len(volumes) == len(mounted)
        for container in containers(template):
            paths = [mount["mountPath"] for mount in container["volumeMounts"]]
            assert len(set(paths)) == len(paths), container["name"]


def test_whatever_a_pod_refers_to_is_there(documents: list[Document]) -> None:
    for template in pod_templates(documents).values():
        for volume in template["spec"]["volumes"]:
            for configmap in configmaps(volume):
                known = of_kind(documents, "ConfigMap")[configmap["name"]]["data"]
                assert {item["key"] for item in configmap.get("items", [])} <= known.keys()
            if "secret" in volume:
                secret = of_kind(documents, "Secret")[volume["secret"]["secretName"]]
                assert {item["key"] for item in volume["secret"].get("items", [])} <= secret["data"].keys()
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in of_kind(documents, "PersistentVolumeClaim")
    for name, document in of_kind(documents, "StatefulSet").items():
        assert document["spec"]["serviceName"] in of_kind(documents, "Service"), name


def test_nothing_but_secrets_holds_a_secret(documents: list[Document]) -> None:
    for document in documents:
        if document["kind"] == "Secret":
            assert all(base64.b64decode(value).startswith(b"secret of ") for value in document["data"].values())
        else:
            assert "secret of " not in json.dumps(document)
    for template in pod_templates(documents).values():
        for container in containers(template):
            assert all("secretKeyRef" not in entry.get("valueFrom", {}) for entry in container.get("env", []))


def test_files_of_secrets_are_not_for_everybody(documents: list[Document]) -> None:
    for template in pod_templates(documents).values():
        for volume in template["spec"]["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440, volume["name"]
                assert template["spec"]["securityContext"]["fsGroup"], "whose group reads it"


def test_containers_of_a_server_share_its_rings_and_sockets(documents: list[Document]) -> None:
    for container, pod in services(documents):
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
        assert "emptyDir" in volumes[mounts["/run/std-daq"]]
        assert mounts["/etc/std-daq"] == "detector"
        assert mounts["/tmp"] == "tmp"


def test_containers_of_a_server_are_those_that_its_configuration_describes(
    documents: list[Document], tmp_path: Path
) -> None:
    for pod in data_planes(documents):
        config = configuration(documents, pod, tmp_path)
        replica = config.replication.receive is not None
        writes = any(container["name"] == "writer-agent" for container in pod["containers"])
        n_senders = len(config.replication.send)
        wanted = {
            "udp-recv": [] if replica else instances("--modules", map(str, config.receivers)),
            "assembler": [] if replica else [[]],
            "stream-recv": [[]] if replica else [],
            "stream-send": instances("--sender", map(str, range(n_senders))),
            "live-stream": [[]] if config.live_stream_configs else [],
            "h5-writer": instances("--writer", map(str, range(config.number_of_writers))) if writes else [],
        }
        for kind, arguments in wanted.items():
            found = [
                container.get("args", [])[2:]
                for container in pod["containers"]
                if container["image"].startswith(f"std-daq/{kind}:")
            ]
            assert found == arguments, kind


def test_each_server_has_a_console_with_the_account_of_its_client_for_who_may_forward_its_port(
    documents: list[Document], tmp_path: Path
) -> None:
    for pod in data_planes(documents):
        (web,) = (container for container in pod["containers"] if container["name"] == "web")
        assert web["args"] == ["--host", "127.0.0.1", "--token-file", "/run/web-token/web-token"]
        environment = {entry["name"]: entry.get("value") for entry in web["env"]}
        assert environment["STD_DAQ_BROKER_URL_FILE"] == "/run/secrets/client-url"
        mounts = {mount["mountPath"]: mount["name"] for mount in web["volumeMounts"]}
        (data,) = (mount for mount in web["volumeMounts"] if mount["mountPath"] == "/data")
        assert data["readOnly"] is True
        names = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        suffix = "-far" if configuration(documents, pod, tmp_path).replication.receive is not None else ""
        assert names[mounts["/run/secrets"]].startswith(f"broker-client{suffix}-")
        token = names[mounts["/run/web-token"]]
        assert token.startswith(f"web-token{suffix}-")
        assert set(of_kind(documents, "Secret")[token]["data"]) == {"web-token"}


def test_rings_of_the_configuration_fit_into_volume_and_memory_limits(
    documents: list[Document], tmp_path: Path
) -> None:
    for pod in data_planes(documents):
        config = configuration(documents, pod, tmp_path)
        (limit,) = (v["emptyDir"]["sizeLimit"] for v in pod["volumes"] if v["name"] == "rings")
        kinds = {c["image"].removeprefix("std-daq/").partition(":")[0]: c for c in pod["containers"]}
        # Who makes a ring pays for its pages.
        rings = {
            "udp-recv": config.shared_memory.frame_buffer_gb * 1e9,
            "assembler": config.ram_buffer_gb * 1e9,
            "stream-recv": config.ram_buffer_gb * 1e9,
        }
        made = {kind: size for kind, size in rings.items() if kind in kinds}
        assert sum(made.values()) * 1.01 <= bytes_of(limit)
        for kind, size in made.items():
            assert bytes_of(kinds[kind]["resources"]["limits"]["memory"]) >= size + 2**28, kind


def test_data_plane_is_of_class_guaranteed_and_its_services_have_whole_cpus(documents: list[Document]) -> None:
    for pod in data_planes(documents):
        for container in pod["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"], container["name"]
            if container["name"] not in ("writer-agent", "live-stream", "web", "tools"):
                assert container["resources"]["limits"]["cpu"].isdigit(), container["name"]


def test_probes_ask_the_port_that_the_service_answers_at(documents: list[Document]) -> None:
    for container, pod in services(documents):
        (port,) = container["ports"]
        environment = {entry["name"]: entry for entry in container["env"]}
        assert environment["STD_DAQ_METRICS_PORT"]["value"] == str(port["containerPort"])
        assert environment["STD_DAQ_METRICS_ADDRESS"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
        for probe, path in (("startup", "live"), ("liveness", "live"), ("readiness", "ready")):
            assert container[f"{probe}Probe"]["httpGet"] == {"path": f"/health/{path}", "port": port["name"]}
        ports = [port["containerPort"] for other in pod["containers"] for port in other.get("ports", [])]
        assert len(set(ports)) == len(ports)


def test_journal_of_the_agent_outlives_its_pod(documents: list[Document], tmp_path: Path) -> None:
    for document in of_kind(documents, "StatefulSet").values():
        pod = document["spec"]["template"]["spec"]
        for container in pod["containers"]:
            if container["name"] != "writer-agent":
                continue
            journal = configuration(documents, pod, tmp_path).writer.journal
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert journal is not None
            claims = [claim["metadata"]["name"] for claim in document["spec"]["volumeClaimTemplates"]]
            assert mounts[str(journal.parent)] in claims


def test_no_two_agents_answer_for_one_tag(documents: list[Document], tmp_path: Path) -> None:
    tags = [
        configuration(documents, pod, tmp_path).tag
        for pod in data_planes(documents)
        if any(container["name"] == "writer-agent" for container in pod["containers"])
    ]
    assert len(set(tags)) == len(tags)


def test_files_are_written_below_the_mounted_data(documents: list[Document], tmp_path: Path) -> None:
    for container, pod in services(documents):
        if container["name"] == "writer-agent" or container["name"].startswith("h5-writer"):
            roots = configuration(documents, pod, tmp_path).writer.output_roots
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            claims = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
            assert [str(root) for root in roots] == ["/data"]
            assert mounts["/data"] in claims


def selects(selector: Document, template: Document) -> bool:
    return selector["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_each_pod_has_one_disruption_budget(documents: list[Document]) -> None:
    selectors = [document["spec"]["selector"] for document in of_kind(documents, "PodDisruptionBudget").values()]
    for name, template in pod_templates(documents).items():
        assert sum(selects(selector, template) for selector in selectors) == 1, name
    assert len(selectors) == len(pod_templates(documents))


def test_policies_say_of_each_pod_who_comes_in_and_where_it_goes(documents: list[Document]) -> None:
    policies = [document["spec"] for document in of_kind(documents, "NetworkPolicy").values()]
    for name, template in pod_templates(documents).items():
        own = [policy for policy in policies if selects(policy["podSelector"], template)]
        assert {kind for policy in own for kind in policy["policyTypes"]} == {"Ingress", "Egress"}, name
    for policy in policies:
        assert any(selects(policy["podSelector"], template) for template in pod_templates(documents).values())
        for rule in policy.get("ingress", []) + policy.get("egress", []):
            assert rule.get("from") or rule.get("to"), "open to everybody"
            assert rule["ports"], "open at every port"


def test_agents_are_let_in_by_the_broker(documents: list[Document]) -> None:
    broker = pod_templates(documents)["broker"]
    policies = [document["spec"] for document in of_kind(documents, "NetworkPolicy").values()]
    peers = [
        peer
        for policy in policies
        if selects(policy["podSelector"], broker)
        for rule in policy.get("ingress", [])
        if {"port": "amqp"} in rule["ports"]
        for peer in rule["from"]
    ]
    for name, template in pod_templates(documents).items():
        if "agent-url" not in json.dumps(template):
            continue
        if template["spec"].get("hostNetwork"):
            assert any("ipBlock" in peer for peer in peers), f"{name} comes with the address of its node"
        else:
            assert any("podSelector" in peer and selects(peer["podSelector"], template) for peer in peers), name


def test_cluster_of_brokers_lists_each_of_its_nodes(documents: list[Document]) -> None:
    broker = of_kind(documents, "StatefulSet")["broker"]["spec"]
    mounted = [
        configmap["name"] for volume in broker["template"]["spec"]["volumes"] for configmap in configmaps(volume)
    ]
    files = [text for name in mounted for text in of_kind(documents, "ConfigMap")[name]["data"].values()]
    listed = re.findall(
        r"^cluster_formation\.classic_config\.nodes\.\d+ = rabbit@([\w.-]+)$", "\n".join(files), re.MULTILINE
    )
    nodes = [f"broker-{index}.{broker['serviceName']}" for index in range(broker["replicas"])]
    assert listed == (nodes if len(nodes) > 1 else [])
