"""Units of all kinds of systems: what systemd itself says of them, and what a service may do."""

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.config.system import load_any_config
from std_daq.service.registry import wanted_instances

# 0 is fully bound, 10 not at all; a usual service has 9.6.
MOST_EXPOSED = {"ublox-control": 2.5, "sim-worker": 3.5}
MOST_EXPOSED_OF_OTHERS = 2.0


def _write(configs: list[Path], folder: Path, *options: str) -> int:
    return main(["systemd", "--config", *map(str, configs), "--output", str(folder), *options])


@pytest.fixture
def url_file(tmp_path: Path) -> Path:
    file = tmp_path / "agent.url"
    file.write_text("amqp://agent:secret@localhost\n")
    return file


@pytest.fixture
def units(configs: dict[str, Path], tmp_path: Path, url_file: Path) -> Path:
    folder = tmp_path / "units"
    assert _write([*configs.values()], folder, "--broker-url-file", str(url_file)) == 0
    return folder


def _lines(folder: Path, instance: str) -> list[str]:
    (file,) = folder.glob(f"std-daq-*-{instance}.service")
    return file.read_text().splitlines()


def test_systemd_finds_nothing_wrong_with_the_units_of_all_kinds_of_systems(units: Path) -> None:
    files = sorted(map(str, units.iterdir()))
    verified = subprocess.run(["systemd-analyze", "verify", *files], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_systemd_verify_would_find_a_wrong_line(units: Path) -> None:
    file = next(units.glob("*.service"))
    file.write_text(file.read_text().replace("ProtectSystem=", "ProtectSystme="))
    verified = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True, check=False)
    assert "ProtectSystme" in verified.stderr


def test_units_are_bound_as_far_as_their_work_allows(units: Path) -> None:
    for file in units.glob("*.service"):
        instance = file.stem.removesuffix("-0").removesuffix("-1")
        limit = next((most for name, most in MOST_EXPOSED.items() if instance.endswith(name)), MOST_EXPOSED_OF_OTHERS)
        command = ["systemd-analyze", "security", "--offline=true", f"--threshold={round(limit * 10)}", str(file)]
        judged = subprocess.run(command, capture_output=True, text=True, check=False)
        assert judged.returncode == 0, judged.stdout.splitlines()[-1]


def test_each_process_of_each_system_has_a_unit_that_its_target_wants(configs: dict[str, Path], units: Path) -> None:
    for file in configs.values():
        config = load_any_config(file)
        target = (units / f"std-daq-{config.name}.target").read_text().splitlines()
        names = [f"std-daq-{config.name}-{one.instance.name}.service" for one in wanted_instances(config)]
        assert [line.removeprefix("Wants=") for line in target if line.startswith("Wants=")] == names
        assert all((units / name).is_file() for name in names)


def test_writer_may_write_to_its_roots_and_nowhere_else(units: Path) -> None:
    (unit,) = units.glob("*jungfrau-h5-writer-0.service")
    lines = unit.read_text().splitlines()
    assert "ProtectSystem=strict" in lines
    assert "ReadWritePaths=-/data" in lines
    assert "RequiresMountsFor=" in " ".join(lines)


def test_password_of_the_broker_is_a_credential_of_the_agent_alone(units: Path, url_file: Path) -> None:
    with_credential = [file.name for file in units.glob("*.service") if "LoadCredential" in file.read_text()]
    assert sorted(name.rpartition("-writer-agent")[1] for name in with_credential) == ["-writer-agent"] * 2
    (agent,) = units.glob("*jungfrau-writer-agent.service")
    assert f"LoadCredential=broker-url:{url_file}" in agent.read_text()
    assert "Environment=STD_DAQ_BROKER_URL_FILE=%d/broker-url" in agent.read_text()


@pytest.mark.parametrize("is_named", [False, True])
def test_console_gets_the_url_of_a_client_of_the_broker(
    configs: dict[str, Path], tmp_path: Path, url_file: Path, capsys: pytest.CaptureFixture[str], is_named: bool
) -> None:
    document = json.loads(configs["images"].read_text()) | {"services": {"web": {}}}
    configs["images"].write_text(json.dumps(document))
    folder = tmp_path / "units"
    client = tmp_path / ("mine.url" if is_named else f"{load_any_config(configs['images']).tag}-client.url")
    options = ["--broker-url-file", str(url_file), *(["--client-url-file", str(client)] if is_named else [])]
    assert _write([configs["images"]], folder, *options) == 2
    said = capsys.readouterr().err
    assert "--client-url-file" in said
    assert is_named or "web of simulated-jungfrau is a client of the broker" in said
    assert str(client) in said
    client.write_text("amqp://client:secret@localhost\n")
    assert _write([configs["images"]], folder, *options) == 0
    lines = _lines(folder, "web")
    assert f"LoadCredential=broker-url:{client}" in lines
    assert "Environment=STD_DAQ_BROKER_URL_FILE=%d/broker-url" in lines
    assert "After=network-online.target rabbitmq-server.service" in lines
    assert f"LoadCredential=broker-url:{url_file}" in _lines(folder, "writer-agent")


def test_url_of_a_client_where_only_root_may_look_is_left_to_systemd(
    configs: dict[str, Path], tmp_path: Path, url_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs["images"].write_text(json.dumps(json.loads(configs["images"].read_text()) | {"services": {"web": {}}}))
    is_file = Path.is_file

    def is_file_for_a_user(path: Path) -> bool:
        if path.name.endswith("-client.url"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", is_file_for_a_user)
    assert _write([configs["images"]], tmp_path / "units", "--broker-url-file", str(url_file)) == 0
    client = url_file.with_name(f"{load_any_config(configs['images']).tag}-client.url")
    assert f"LoadCredential=broker-url:{client}" in _lines(tmp_path / "units", "web")


def test_console_of_a_system_without_a_broker_gets_no_url(configs: dict[str, Path], tmp_path: Path) -> None:
    document = json.loads(configs["telescope"].read_text()) | {"services": {"web": {}}}
    configs["telescope"].write_text(json.dumps(document))
    assert _write([configs["telescope"]], tmp_path / "units") == 0
    assert "LoadCredential" not in "".join(_lines(tmp_path / "units", "web"))


def test_wrong_configuration_is_not_tried_again_and_all_else_without_end(units: Path) -> None:
    for file in units.glob("*.service"):
        lines = file.read_text().splitlines()
        assert {"Restart=always", "RestartPreventExitStatus=2", "StartLimitIntervalSec=0", "Type=notify"} <= {*lines}


def test_files_of_another_user_are_written_by_that_user_who_trusts_the_rings_owner(
    configs: dict[str, Path], tmp_path: Path, url_file: Path
) -> None:
    document = json.loads(configs["images"].read_text())
    document["writer_user_id"] = 4321
    document["writer"] |= {"group": "staff", "folder_mode": "2750"}
    document["shared_memory"]["directory"] = "/dev/shm/std-daq"
    configs["images"].write_text(json.dumps(document))
    folder = tmp_path / "units"
    assert _write([configs["images"]], folder, "--broker-url-file", str(url_file), "--user", "daq") == 0
    lines = _lines(folder, "h5-writer-0")
    assert {"User=4321", "Group=daq", "SupplementaryGroups=staff", "Environment=STD_DAQ_TRUSTED_USERS=daq"} <= {*lines}
    assert "RestrictSUIDSGID=yes" not in lines, "folders could not get the bit"
    assert not [line for line in lines if line.startswith(("RuntimeDirectory", "CacheDirectory"))], (
        "systemd would give them to 4321"
    )
    assert [line for line in lines if line.startswith("ExecStartPre=+/usr/bin/install -d -o daq -g daq -m 0770 /")]
    assert "User=daq" in _lines(folder, "assembler")


def test_writers_of_users_get_two_capabilities(configs: dict[str, Path], tmp_path: Path, url_file: Path) -> None:
    document = json.loads(configs["images"].read_text())
    document["writer"] = {**document.get("writer", {}), "users": [4321]}
    configs["images"].write_text(json.dumps(document))
    folder = tmp_path / "units"
    assert _write([configs["images"]], folder, "--broker-url-file", str(url_file)) == 0
    assert "AmbientCapabilities=CAP_SETUID CAP_SETGID" in _lines(folder, "h5-writer-0")
    assert "CapabilityBoundingSet=" in _lines(folder, "writer-agent")


def test_low_port_needs_a_capability_and_others_get_none(
    configs: dict[str, Path], tmp_path: Path, url_file: Path
) -> None:
    document = json.loads(configs["images"].read_text()) | {"start_udp_port": 900}
    configs["images"].write_text(json.dumps(document))
    folder = tmp_path / "units"
    assert _write([configs["images"]], folder, "--broker-url-file", str(url_file)) == 0
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in _lines(folder, "udp-recv")
    assert "CapabilityBoundingSet=" in _lines(folder, "assembler")


def test_without_a_broker_the_agent_could_not_start(
    configs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _write([configs["images"]], tmp_path / "units") == 2
    assert "no broker is known for simulated-jungfrau" in capsys.readouterr().err
    assert not (tmp_path / "units").exists()


def test_services_start_with_the_commands_of_std_daq_up(configs: dict[str, Path], units: Path) -> None:
    config = load_any_config(configs["photons"])
    for one in wanted_instances(config):
        (line,) = [line for line in _lines(units, one.instance.name) if line.startswith("ExecStart=")]
        command = one.command(configs["photons"])
        assert f"-m {command.module} --config" in line
        assert f'"{configs["photons"]}"' in line
        assert os.access(line.removeprefix("ExecStart=").split(" ")[0], os.X_OK)
