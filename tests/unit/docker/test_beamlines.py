"""What the compose files of all beamlines have in common, read as compose reads them."""

import argparse
import json
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

from std_daq.cli import simulate
from std_daq.config.system import load_any_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.recording.config import RecordingConfig
from std_daq.service.arguments import service_parser
from std_daq.service.registry import wanted_instances
from std_daq.telescope.config import LiveViewConfig
from std_daq.telescope.ublox_config import UbloxControlConfig
from std_daq.tpc.config import TpcConfig, split_address
from std_daq.tpc.pads.channel_map import write_channel_map
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.simulation.invented_map import invented_map
from std_event_view.options import browser_of
from std_event_view.service import SERVICE as VIEW
from std_test_kit.engine import image_tag
from std_web.service import SERVICE as WEB

ROOT = Path(__file__).parents[3]
BEAMLINES = ROOT / "docker" / "beamlines"
FOLDERS = sorted(path.parent for path in BEAMLINES.glob("*/compose.yaml"))
VARIABLE = re.compile(r"\$\{(\w+)(?::[-?]([^}]*))?\}")
CHAMBER = BEAMLINES / "chamber"
N_PADS_OF_THE_ATTPC = 10240
GIGABYTE = {"m": 2**20 / 1e9, "g": 2**30 / 1e9}

Service = dict[str, Any]


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of example.env."""
    lines = (folder / "example.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def read(file: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Return a compose file with its variables filled in; those with ``:?`` have to be there."""

    def fill(match: re.Match[str]) -> str:
        name, default = match.groups()
        if match[0].startswith(f"${{{name}:-"):
            return variables.get(name) or default
        return variables[name]

    document: dict[str, Any] = yaml.safe_load(VARIABLE.sub(fill, file.read_text()))
    return document


def merge(base: Service, own: Service) -> Service:
    """Return a service that extends another: lists are joined, maps are merged, volumes by where they are mounted.

    A command that is a text is split, as a shell does.
    """
    merged = dict(base)
    for key, value in own.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = base[key] | value
        elif key == "command" and isinstance(value, str):
            merged[key] = shlex.split(value)
        elif key == "volumes":
            merged[key] = list({volume["target"]: volume for volume in base.get(key, []) + value}.values())
        elif isinstance(value, list) and key not in {"command", "entrypoint"}:
            merged[key] = base.get(key, []) + value
        else:
            merged[key] = value
    return merged


def services(folder: Path, **changed: str) -> dict[str, Service]:
    """Return the services of a beamline with what they extend, with some variables changed."""
    variables = environment(folder) | changed
    found = {}
    for name, own in read(folder / "compose.yaml", variables)["services"].items():
        extended = own.pop("extends")
        base = read(folder / extended["file"], variables)["services"][extended["service"]]
        found[name] = merge(base, own)
    return found


def secret_target(secret: str | dict[str, str]) -> str:
    """Return the name of a secret in the container."""
    return secret if isinstance(secret, str) else secret["target"]


EVERY_SERVICE = [
    pytest.param(folder, name, service, id=f"{folder.name}-{name}")
    for folder in FOLDERS
    for name, service in services(folder).items()
]
EVERY_BEAMLINE = [pytest.param(folder, id=folder.name) for folder in FOLDERS]
WITH_IMAGES = [pytest.param(folder, id=folder.name) for folder in FOLDERS if (folder / "detector.json").exists()]


def configurations(folder: Path) -> list[RecordingConfig]:
    """Return the configurations of the detectors of a beamline, which are recorded."""
    found = [load_any_config(path) for path in sorted(folder.glob("*.json"))]
    return [config for config in found if isinstance(config, RecordingConfig)]


def detectors(folder: Path) -> list[DetectorConfig]:
    """Return those of detectors that take images."""
    return [config for config in configurations(folder) if isinstance(config, DetectorConfig)]


def test_there_are_the_beamlines_that_the_documentation_names() -> None:
    named = {"simulated_jungfrau", "eiger_9m", "two_servers", "observatory", "chamber"}
    assert named <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_every_service_runs_without_privileges(folder: Path, name: str, service: Service) -> None:
    assert service["user"] == ("999:999" if name == "broker" else "1000:1000")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "ipc", "pid", "userns_mode"} & set(service)
    assert ("devices" in service) == (name == "ublox-control")  # its receiver, and no other service has a device


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_every_service_is_limited_and_comes_back(folder: Path, name: str, service: Service) -> None:
    assert service["restart"] == "unless-stopped"
    assert service["pids_limit"] > 0
    assert service["mem_limit"]
    assert "cpuset" in service
    assert service["logging"]["options"]["max-size"]
    assert "depends_on" not in service


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_ports_are_published_to_this_machine_only(folder: Path, name: str, service: Service) -> None:
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_on_the_host_network_metrics_answer_loopback_only(folder: Path, name: str, service: Service) -> None:
    if service.get("network_mode") == "host" and "STD_DAQ_METRICS_ADDRESS" in service["environment"]:
        assert service["environment"]["STD_DAQ_METRICS_ADDRESS"] == "127.0.0.1"
        assert service["environment"]["STD_DAQ_METRICS_PORT"]


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_secrets_are_files(folder: Path, name: str, service: Service) -> None:
    for key, value in service.get("environment", {}).items():
        assert "@" not in value, key
        if key.endswith("_FILE"):
            assert Path(value).name in [secret_target(secret) for secret in service["secrets"]]


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_configurations_and_secrets_are_mounted_read_only(folder: Path, name: str, service: Service) -> None:
    for volume in service["volumes"]:
        if volume["type"] == "bind" and volume["target"] not in {"/data", "/sockets"}:
            assert volume["read_only"] is True


@pytest.mark.parametrize("folder", EVERY_BEAMLINE)
def test_the_rings_of_the_configuration_fit_into_the_volume(folder: Path) -> None:
    for config in detectors(folder):
        is_far = config.replication.receive is not None
        size = environment(folder)["FAR_RINGS_SIZE" if is_far else "RINGS_SIZE"]
        frame_buffer_gb = 0 if is_far else config.shared_memory.frame_buffer_gb
        assert 1.01 * (config.ram_buffer_gb + frame_buffer_gb) <= float(size[:-1]) * GIGABYTE[size[-1]]


@pytest.mark.parametrize("folder", EVERY_BEAMLINE)
def test_configurations_are_right_and_keep_state_where_it_lasts(folder: Path) -> None:
    for config in configurations(folder):
        wanted_instances(config)  # with the checks of their services
        if isinstance(config, DetectorConfig):
            open_detector(config)
        assert config.writer.journal is not None
        assert config.writer.journal.is_relative_to("/var/lib/std-daq")
        assert [str(root) for root in config.writer.output_roots] == ["/data"]


@pytest.mark.parametrize("folder", EVERY_BEAMLINE)
def test_shared_memory_has_a_size_and_an_owner(folder: Path) -> None:
    volumes = read(folder / "compose.yaml", environment(folder))["volumes"]
    shared = [volume for volume in volumes.values() if volume and "driver_opts" in volume]
    assert len(shared) >= 2
    for volume in shared:
        options = dict(option.split("=") for option in volume["driver_opts"]["o"].split(","))
        assert volume["driver_opts"]["type"] == "tmpfs"
        assert options["size"]
        assert (options["uid"], options["gid"], options["mode"]) == ("1000", "1000", "0770")


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_shared_memory_keeps_its_owner_whatever_the_image_has_there(folder: Path, name: str, service: Service) -> None:
    for volume in service["volumes"]:
        if volume["target"] in {"/dev/shm", "/run/std-daq"}:
            assert volume["volume"] == {"nocopy": True}


@pytest.mark.parametrize("folder", EVERY_BEAMLINE)
def test_each_receiver_and_each_writer_of_the_configuration_has_a_service(folder: Path) -> None:
    for config in detectors(folder):
        commands = [service.get("command", []) for service in services(folder).values()]
        for part in config.receivers if len(config.receivers) > 1 else []:
            assert ["--config", "/etc/std-daq/detector.json", "--modules", str(part)] in commands
        for writer in range(config.number_of_writers) if config.number_of_writers > 1 else []:
            assert ["--config", "/etc/std-daq/detector.json", "--writer", str(writer)] in commands


def test_live_view_of_the_observatory_reads_the_data_and_takes_frames_from_its_sockets() -> None:
    folder = BEAMLINES / "observatory"
    config = LiveViewConfig.model_validate_json((folder / "live.json").read_text())
    volumes = {volume["target"]: volume for volume in services(folder)["live-view"]["volumes"]}
    assert config.start is not None
    assert volumes[str(config.start.data_dir)]["read_only"] is True
    assert config.sources.unix_sockets is not None
    assert "read_only" not in volumes[str(Path(config.sources.unix_sockets.path_template).parent)]
    assert services(folder)["live-view"]["environment"]["STD_DAQ_CONFIG"] in volumes
    assert config.required_process is None  # processes of the host are not seen in a container


def test_control_of_the_receiver_listens_where_its_port_is_published() -> None:
    folder = BEAMLINES / "observatory"
    config = UbloxControlConfig.model_validate_json((folder / "ublox.json").read_text())
    service = services(folder)["ublox-control"]
    assert service["ports"][0].endswith(f":{config.port}")
    assert service["environment"]["STD_DAQ_CONFIG"] in {volume["target"] for volume in service["volumes"]}


# Beside its ring, what the page about a detector's configuration gives to a service that makes one.
BESIDE_A_RING_GB = 0.5


def rings_made_gb(name: str, config: DetectorConfig) -> float:
    """Return the size of the ring that a service of this name makes; 0 for one that makes none."""
    if "udp-recv" in name:
        return config.shared_memory.frame_buffer_gb
    return config.ram_buffer_gb if name.endswith(("assembler", "stream-recv")) else 0.0


@pytest.mark.parametrize("folder", WITH_IMAGES)
def test_a_limit_of_memory_holds_the_ring_that_its_service_makes(folder: Path) -> None:
    for name, service in services(folder).items():
        for config in configurations(folder):
            assert isinstance(config, DetectorConfig)
            if ring_gb := rings_made_gb(name, config):
                limit = service["mem_limit"]
                assert float(limit[:-1]) * GIGABYTE[limit[-1]] >= ring_gb + BESIDE_A_RING_GB, name


@pytest.mark.parametrize("base", ["acquisition", "replica"])
def test_a_limit_of_memory_of_a_pod_holds_the_ring_that_its_container_makes(base: str) -> None:
    pod = yaml.safe_load((ROOT / "docker" / "kubernetes" / "base" / base / "statefulset.yaml").read_text())
    (config,) = configurations(BEAMLINES / "simulated_jungfrau")
    assert isinstance(config, DetectorConfig)
    limits = {
        container["name"]: (float(limit.removesuffix("Gi")) * GIGABYTE["g"], ring_gb)
        for container in pod["spec"]["template"]["spec"]["containers"]
        if (ring_gb := rings_made_gb(container["name"], config))
        for limit in [container["resources"]["limits"]["memory"]]
    }
    assert limits
    for name, (limit_gb, ring_gb) in limits.items():
        assert limit_gb >= ring_gb + BESIDE_A_RING_GB, name


def test_the_ring_of_events_fits_into_the_volume_of_the_chamber() -> None:
    (config,) = configurations(CHAMBER)
    assert isinstance(config, TpcConfig)
    size = environment(CHAMBER)["RINGS_SIZE"]
    assert 1.01 * config.builder.ram_buffer_gb <= float(size[:-1]) * GIGABYTE[size[-1]]


def test_the_chamber_has_a_container_for_each_service_and_the_exporters_are_one() -> None:
    (config,) = configurations(CHAMBER)
    assert isinstance(config, TpcConfig)
    found = services(CHAMBER)
    wanted = {one.service.name for one in wanted_instances(config)}
    assert wanted == {"event-builder", "event-analysis", "event-view", "writer-agent", "h5-writer"}
    assert set(found) == wanted | {"broker", "exporters", "tools", "web"}
    for name in wanted:
        assert found[name]["environment"]["STD_DAQ_CONFIG"] in {volume["target"] for volume in found[name]["volumes"]}
    assert {split_address(address)[0] for address in config.exporters} == {"exporters"}


def test_the_channel_map_of_the_chamber_is_the_invented_one_of_its_boards(tmp_path: Path) -> None:
    (config,) = configurations(CHAMBER)
    assert isinstance(config, TpcConfig)
    plane = load_pads(config.pads)
    boards = [(cobo, asad) for cobo in range(len(config.exporters)) for asad in range(2)]
    assert sorted(plane.boards) == boards
    write_channel_map(tmp_path / "map.csv", invented_map(boards, N_PADS_OF_THE_ATTPC))
    assert (CHAMBER / "channel_map.csv").read_text() == (tmp_path / "map.csv").read_text()


def test_browsers_reach_the_view_of_the_chamber_by_the_ports_that_it_tells_them() -> None:
    (config,) = configurations(CHAMBER)
    assert isinstance(config, TpcConfig)
    view = services(CHAMBER)["event-view"]
    parser = argparse.ArgumentParser()
    VIEW.add_arguments(parser)
    browser = browser_of(parser.parse_args(view["command"]), config.viewer.browser)
    assert browser is not None
    ports = [port.split(":") for port in view["ports"]]
    assert ports == [[browser.host, str(port), str(port)] for port in (browser.port, browser.data_port)]
    assert browser.listen == "0.0.0.0"


@pytest.mark.parametrize("folder", EVERY_BEAMLINE)
def test_each_server_has_a_console_with_the_account_of_a_client_and_a_token(folder: Path) -> None:
    found = services(folder)
    servers = {name.rpartition("tools")[0] for name in found if name.endswith("tools")} or {""}
    assert {name for name in found if name.endswith("web")} == {f"{server}web" for server in servers}
    for server in servers:
        web, secrets = found[f"{server}web"], read(folder / "compose.yaml", environment(folder))["secrets"]
        files = {secret_target(one): one if isinstance(one, str) else one["source"] for one in web["secrets"]}
        has_broker = "broker" in found
        assert set(files) == {"web-token"} | ({"client-url"} if has_broker else set())
        assert secrets[files["web-token"]]["file"] == f"./secrets/{server}web-token"
        assert web["command"][-2:] == ["--token-file", "/run/secrets/web-token"]
        if has_broker:
            assert re.search(rf"{server}client(\.local)?\.url$", secrets[files["client-url"]]["file"])
            assert web["environment"]["STD_DAQ_BROKER_URL_FILE"] == "/run/secrets/client-url"
        (data,) = (volume for volume in web["volumes"] if volume["target"] == "/data")
        assert data["read_only"] is True


def test_console_of_the_observatory_reaches_the_live_view_by_a_socket_that_both_see() -> None:
    folder = BEAMLINES / "observatory"
    config = LiveViewConfig.model_validate_json((folder / "live.json").read_text())
    assert config.unix_socket is not None
    for name in ("live-view", "web"):
        assert str(config.unix_socket.parent) in {volume["target"] for volume in services(folder)[name]["volumes"]}


def test_console_of_the_observatory_shows_the_timing_receiver_where_it_is_told_to() -> None:
    folder = BEAMLINES / "observatory"
    example = (folder / "example.env").read_text()
    assert services(folder)["web"]["command"].count("--config") == 1
    (told,) = re.findall(r"With `timing`: (.*)\. A further", example)
    web = services(folder, WEB_CONFIGS=told)["web"]
    arguments = service_parser(WEB).parse_args(web["command"])
    files = [Path(file) for file in (arguments.config, *arguments.further_configs)]
    assert [file.name for file in files] == ["live.json", "ublox.json"]
    mounted = {volume["target"]: volume["source"] for volume in web["volumes"] if "source" in volume}
    configs = [load_any_config(folder / mounted[str(file)]) for file in files]
    assert len({config.name for config in configs}) == 2
    # Their states are read in the runtime directory.
    for name in ("live-view", "ublox-control"):
        assert "/run/std-daq" in {volume["target"] for volume in services(folder)[name]["volumes"]}


@pytest.mark.parametrize(("service", "file"), [("live-view", "live.json"), ("ublox-control", "ublox.json")])
def test_services_of_the_observatory_have_the_names_by_which_the_console_expects_them(service: str, file: str) -> None:
    folder = BEAMLINES / "observatory"
    (wanted,) = wanted_instances(load_any_config(folder / file))
    assert services(folder)[service]["command"] == list(wanted.instance.arguments)


def test_simulated_exporters_are_told_what_the_command_knows() -> None:
    name, *options = services(CHAMBER)["exporters"]["command"]
    assert name == "simulate"
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    assert parser.parse_args(options).n_events == 100_000


def test_the_eiger_is_the_one_that_users_have() -> None:
    document = json.loads((BEAMLINES / "eiger_9m" / "detector.json").read_text())
    assert document["n_modules"] == len(document["module_positions"]) == 72
    assert document["start_udp_port"] == 50020
    assert (document["image_pixel_height"], document["image_pixel_width"]) == (3264, 3106)
    assert document["deactivate"] == [62, 63, 66, 67]


def test_servers_share_neither_memory_nor_secrets_nor_any_network_but_link_and_control() -> None:
    near: list[Service] = []
    far: list[Service] = []
    for name, service in services(BEAMLINES / "two_servers").items():
        (far if name.startswith("far-") else near).append(service)
        assert service["profiles"] == ["far" if name.startswith("far-") else "near"]

    def all_of(key: str, side: list[Service], get: Any) -> set[str]:
        return {get(entry) for service in side for entry in service.get(key, [])}

    def source(entry: str | dict[str, str]) -> str:
        return entry if isinstance(entry, str) else entry["source"]

    common = all_of("volumes", near, source) & all_of("volumes", far, source)
    assert common == {environment(BEAMLINES / "two_servers")["DATA_DIR"], "./secrets/link/ca.pem"}
    assert not all_of("secrets", near, source) & all_of("secrets", far, source)
    assert all_of("networks", near, str) & all_of("networks", far, str) == {"link", "control"}


@pytest.mark.parametrize(("folder", "name", "service"), EVERY_SERVICE)
def test_images_are_those_that_are_built(folder: Path, name: str, service: Service) -> None:
    image, _, tag = service["image"].rpartition(":")
    services = {entry.name for entry in entry_points(group="std_daq.services")}
    assert image.removeprefix("std-daq/") in services | {"tools", "rabbitmq"}
    assert tag == image_tag()
