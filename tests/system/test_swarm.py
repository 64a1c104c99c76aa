"""The stacks of docker/swarm: their files by our rules, and the simulated beamline on a Swarm of one node."""

import itertools
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from std_daq.imaging.config.load import load_config
from std_test_kit.engine import Container, docker, run_command
from std_test_kit.wait import wait_until

ROOT = Path(__file__).parents[2]
STACK_FILES = sorted((ROOT / "docker/swarm").glob("*.yml"))
# Whose files each of them takes.
BEAMLINES = {"simulated": "simulated_jungfrau", "servers": "two_servers", "broker-cluster": "two_servers"}
DEPLOY = ROOT / "docker/swarm/deploy"
CONFIGURATION = "/etc/std-daq/detector.json"
# Whom the files are to belong to: not root, and not the user that images have by default.
USER_ID = os.getuid() or 4321
# Other tests may share the machine's CPUs.
START_TIMEOUT_S = 240.0
COMMAND_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 120.0

Document = dict[str, Any]


def services_of(file: Path) -> dict[str, Document]:
    return dict(yaml.safe_load(file.read_text())["services"])


@pytest.fixture(params=STACK_FILES, ids=lambda file: file.stem)
def stack_file(request: pytest.FixtureRequest) -> Path:
    """Each stack file."""
    return Path(request.param)


def test_every_service_is_hardened(stack_file: Path) -> None:
    for name, service in services_of(stack_file).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["user"] in ("${DAQ_UID}:${DAQ_GID}", "999:999"), name
        assert service["deploy"]["resources"]["limits"].keys() >= {"memory", "pids"}, name


def test_nothing_that_a_swarm_ignores_is_written_down(stack_file: Path) -> None:
    ignored = {"security_opt", "shm_size", "cpuset", "restart", "network_mode", "privileged", "devices", "ipc", "pid"}
    for name, service in services_of(stack_file).items():
        assert ignored.isdisjoint(service), name
        assert "ports" not in service, f"{name}: a Swarm publishes on all addresses of all nodes"


def test_variables_are_those_of_the_beamline_and_of_deploy(stack_file: Path) -> None:
    set_by_deploy = {"BEAMLINE", "STACK", "CONFIG_VERSION", "CLUSTER_VERSION", "SECRETS_VERSION"}
    beamline = ROOT / "docker/beamlines" / BEAMLINES[stack_file.stem]
    known = re.findall(r"^(\w+)=", (beamline / "example.env").read_text(), re.MULTILINE)
    text = re.sub(r"#.*", "", stack_file.read_text())
    assert set(re.findall(r"\$\{(\w+)\}", text)) <= {*known, *set_by_deploy}
    for file in re.findall(r"\$\{BEAMLINE\}/([\w.-]+\.json)", text):
        load_config(beamline / file)


def test_who_shares_rings_is_on_one_node(stack_file: Path) -> None:
    nodes: dict[str, set[str]] = {}
    for service in services_of(stack_file).values():
        mounts = {volume["target"]: volume for volume in service["volumes"]}
        (constraint,) = service["deploy"]["placement"]["constraints"]
        assert service["deploy"]["replicas"] == 1
        assert service["deploy"]["update_config"]["order"] == "stop-first"
        if "/dev/shm" in mounts:
            assert mounts["/run/std-daq"]["type"] == mounts["/dev/shm"]["type"] == "volume"
            nodes.setdefault(mounts["/dev/shm"]["source"], set()).add(constraint)
    assert all(len(constraints) == 1 for constraints in nodes.values())


def test_a_service_that_waits_is_not_killed_for_it(stack_file: Path) -> None:
    for name, service in services_of(stack_file).items():
        assert "healthcheck" in service, f"{name} has the image's check, which is for readiness"
        check = service["healthcheck"]
        if not check.get("disable"):
            assert check["test"] == ["CMD", "python", "-m", "std_daq.service.healthcheck", "--live"]


def test_secrets_are_for_their_reader_alone(stack_file: Path) -> None:
    for service in services_of(stack_file).values():
        for secret in service.get("secrets", []):
            assert secret["mode"] == 0o400
            assert f"{secret['uid']}:{secret['gid']}" == service["user"]
        assert "@" not in json.dumps(service.get("environment", {})).replace("rabbit@", "")


def test_each_server_has_a_console_with_the_account_of_a_client() -> None:
    for name, servers in {"simulated": [""], "servers": ["", "far-"]}.items():
        services = services_of(ROOT / f"docker/swarm/{name}.yml")
        for server in servers:
            web = services[f"{server}web"]
            assert web["hostname"] == f"{server}web", "what it is called by whoever reaches it"
            sources = {secret.get("target", secret["source"]): secret["source"] for secret in web["secrets"]}
            assert sources == {"client-url": f"{server}client-url", "web-token": f"{server}web-token"}
            assert web["environment"]["STD_DAQ_BROKER_URL_FILE"] == "/run/secrets/client-url"
            assert {volume["target"] for volume in web["volumes"] if volume.get("read_only")} == {"/data"}


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that runs.

    Attributes
    ----------
    name
        Its name.
    folder
        Its beamline.
    data
        The folder that is ``/data`` in its containers.
    """

    name: str
    folder: Path
    data: Path

    def container(self, service: str) -> Container:
        """The one running container of a service."""
        (container_id,) = docker("ps", "--quiet", "--filter", f"name={self.name}_{service}.1.").split()
        return Container(container_id)

    def replicas(self) -> dict[str, str]:
        """How many tasks of each service run, as ``1/1``."""
        lines = docker("stack", "services", self.name, "--format", "{{.Name}} {{.Replicas}}").splitlines()
        return {name.removeprefix(f"{self.name}_"): running for name, running in map(str.split, lines)}

    def tasks(self) -> str:
        """What became of each task, for messages of failures."""
        form = "{{.Name}} {{.CurrentState}} {{.Error}}"
        return docker("stack", "ps", self.name, "--no-trunc", "--format", form)

    def tools(self, *command: str) -> list[str]:
        """The command line of a ``std-daq`` command in the stack."""
        return ["docker", "exec", self.container("tools").id, "std-daq", *command]


@pytest.fixture(scope="module")
def swarm(engine: None) -> Iterator[None]:
    """A Swarm of this engine alone."""
    if docker("info", "--format", "{{.Swarm.LocalNodeState}}").strip() != "inactive":
        pytest.skip("this engine is part of a Swarm, which is left as it is")
    had_bridge = "docker_gwbridge" in docker("network", "ls", "--format", "{{.Name}}").split()
    docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    yield
    docker("swarm", "leave", "--force")
    if not had_bridge:
        docker("network", "rm", "docker_gwbridge")


def be_patient(file: Path) -> None:
    """Let receivers wait for a sender that gets no CPU for a while: it is placement that is tested here."""
    document = json.loads(file.read_text())
    document["udp"] = {"idle_flush_s": 10.0, "module_timeout_s": 20.0}
    document["writer"]["image_timeout_s"] = 60.0
    file.write_text(json.dumps(document))


@pytest.fixture(scope="module")
def stack(swarm: None, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The simulated beamline as a stack, every service ready."""
    name = f"swarmtest{os.getpid()}"
    beamlines = tmp_path_factory.mktemp("swarm") / "beamlines"
    shutil.copytree(ROOT / "docker/beamlines", beamlines, ignore=shutil.ignore_patterns(".env", "secrets", "data"))
    made = Stack(name, beamlines / "simulated_jungfrau", beamlines.parent / "data")
    be_patient(made.folder / "detector.json")
    settings = {"DAQ_UID": str(USER_ID), "DAQ_GID": str(USER_ID), "DATA_DIR": str(made.data)}
    run_command(str(ROOT / "docker/beamline"), "init", str(made.folder), "--data", str(made.data), environment=settings)
    (node,) = docker("node", "ls", "--quiet").split()
    docker("node", "update", "--label-add", f"std-daq.server={name}", node)
    try:
        run_command(str(DEPLOY), str(ROOT / "docker/swarm/simulated.yml"), str(made.folder), name, environment=settings)
        wait_until(lambda: set(made.replicas().values()) == {"1/1"}, START_TIMEOUT_S, made.tasks)
        for service in ("udp-recv", "assembler", "writer-agent", "h5-writer", "live-stream"):
            made.container(service).wait_for_health(lambda health: health.words == "ready", START_TIMEOUT_S)
        yield made
    finally:
        docker("stack", "rm", name)
        label = f"label=com.docker.stack.namespace={name}"
        wait_until(lambda: not docker("ps", "--all", "--quiet", "--filter", label), STOP_TIMEOUT_S)
        wait_until(lambda: not docker("network", "ls", "--quiet", "--filter", label), STOP_TIMEOUT_S)
        docker("volume", "rm", *docker("volume", "ls", "--quiet", "--filter", label).split())


@pytest.mark.timeout(600)
def test_stack_writes_a_file_by_request(stack: Stack) -> None:
    write = stack.tools(
        "write", "--config", CONFIGURATION, "--output-file", "/data/run.h5", "--n-images", "20", "--json"
    )
    simulate = ["simulate", "--config", CONFIGURATION, "--host", "udp-recv", "--n-images", "20", "--rate-hz", "10"]
    with subprocess.Popen(write, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writing:
        assert writing.stderr is not None
        said = list(itertools.takewhile(lambda line: "request_accepted" not in line, writing.stderr))
        stack.container("tools").execute("std-daq", *simulate, timeout_s=COMMAND_TIMEOUT_S)
        out, err = writing.communicate(timeout=COMMAND_TIMEOUT_S)
    assert writing.returncode == 0, out + "".join(said) + err
    assert json.loads(out)["n_written"] == 20
    assert json.loads(
        stack.container("tools").execute("std-daq", "validate", "/data/run.h5", "--json", timeout_s=COMMAND_TIMEOUT_S)
    )
    assert (stack.data / "run.h5").stat().st_uid == USER_ID


def test_containers_of_the_stack_are_hardened_as_its_file_says(stack: Stack) -> None:
    for service in stack.replicas():
        known = stack.container(service).inspect()
        assert known["HostConfig"]["ReadonlyRootfs"] is True, service
        assert known["HostConfig"]["CapDrop"] == ["ALL"], service
        assert known["Config"]["User"] == ("999:999" if service == "broker" else f"{USER_ID}:{USER_ID}")


def test_no_password_can_be_seen_by_inspecting(stack: Stack) -> None:
    passwords = {
        match
        for file in (stack.folder / "secrets").glob("*.url")
        for match in re.findall(r"://[^:]+:([^@]+)@", file.read_text())
    }
    assert passwords
    seen = [json.dumps(stack.container(service).inspect()) for service in stack.replicas()]
    seen += [docker("service", "inspect", f"{stack.name}_{service}") for service in stack.replicas()]
    for text in seen:
        assert not any(password in text for password in passwords)


@pytest.mark.timeout(600)
def test_agent_outlives_its_broker_and_says_that_it_waits(stack: Stack) -> None:
    agent = stack.container("writer-agent")
    docker("service", "scale", "--detach", f"{stack.name}_broker=0")
    waiting = agent.wait_for_health(lambda health: health.words != "ready", START_TIMEOUT_S)
    assert waiting.status == "healthy", "Swarm would kill it"
    docker("service", "scale", "--detach", f"{stack.name}_broker=1")
    agent.wait_for_health(lambda health: health.words == "ready", START_TIMEOUT_S)
    assert agent.is_running
