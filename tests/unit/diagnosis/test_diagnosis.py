import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli.__main__ import main
from std_daq.diagnosis import kernel, memory, network, processor
from std_daq.diagnosis.container import container
from std_daq.diagnosis.finding import Finding, Level
from std_daq.diagnosis.machine import Machine
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.detectors.registry import open_detector

EIGER = {
    "detector_name": "det",
    "detector_type": "eiger",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 256,
    "image_pixel_width": 514,
    "start_udp_port": 50000,
    "module_positions": {},
}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "proc", tmp_path / "sys", tmp_path / "root")


def put(root: Path, path: str, text: object) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")


def one(findings: Any) -> Finding:
    [finding] = findings
    assert isinstance(finding, Finding)
    return finding


def detector(**changes: Any) -> Any:
    return open_detector(parse_config(EIGER | changes))


@pytest.mark.parametrize(("limit", "level"), [(2**26, Level.OK), (212992, Level.WARNING)])
def test_small_socket_buffers_are_found(machine: Machine, limit: int, level: Level) -> None:
    put(machine.proc, "sys/net/core/rmem_max", limit)
    finding = one(kernel.socket_buffer(machine, 2**26))
    assert finding.level is level
    assert ("sysctl -w net.core.rmem_max=67108864" in finding.remedy) == (level is Level.WARNING)


def test_container_without_the_limits_is_told(machine: Machine) -> None:
    assert one(kernel.socket_buffer(machine, 2**26)).level is Level.WARNING
    assert list(kernel.packet_queue(machine)) == []


def test_drops_between_driver_and_sockets_are_counted(machine: Machine) -> None:
    put(machine.proc, "sys/net/core/netdev_max_backlog", 100000)
    put(machine.proc, "net/softnet_stat", "00ff 0000000a 00\n00ff 00000001 00")
    queue, dropped = kernel.packet_queue(machine)
    assert queue.level is Level.OK
    assert dropped.text.startswith("11 packets")


def card(machine: Machine, name: str = "eth1", **files: object) -> None:
    defaults = {"type": 1, "operstate": "up", "mtu": 9000, "speed": 100000, "statistics/rx_packets": 1000}
    for path, value in (defaults | {key.replace("__", "/"): value for key, value in files.items()}).items():
        put(machine.sys, f"class/net/{name}/{path}", value)


def test_packets_longer_than_the_mtu_are_found(machine: Machine) -> None:
    card(machine, mtu=1500)
    mtu, drops = network.cards(machine, 8240)
    assert mtu.level is Level.WARNING
    assert "mtu 9000" in mtu.remedy
    assert "100 Gb/s" in mtu.text
    assert drops.level is Level.OK


def test_drops_of_a_card_are_found(machine: Machine) -> None:
    card(machine, statistics__rx_missed_errors=7)
    _, drops = network.cards(machine, None)
    assert drops.level is Level.WARNING
    assert "rx_missed_errors 7" in drops.text
    assert "ethtool -G eth1" in drops.remedy


def test_loopback_and_cards_that_are_down_are_left_out(machine: Machine) -> None:
    card(machine, "lo", type=772)
    card(machine, "eth2", operstate="down")
    assert list(network.cards(machine, 8240)) == []


def test_rings_that_fit_are_told_and_others_left_to_the_check_of_the_start(machine: Machine, tmp_path: Path) -> None:
    small = detector(shared_memory={"frame_slots": 16, "image_slots": 4})
    assert one(memory.shared_memory(machine, small, tmp_path)).level is Level.OK
    assert not list(memory.shared_memory(machine, detector(ram_buffer_gb=1e6), tmp_path))


def test_rings_that_are_there_need_no_more_memory(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(machine.proc, "meminfo", "MemAvailable: 1000 kB")
    small = detector(shared_memory={"frame_slots": 16, "image_slots": 4, "directory": str(tmp_path)})
    for path in small.config.ring_paths:
        path.write_bytes(bytes(20_000_000))
    _, available = memory.shared_memory(machine, small, tmp_path)
    assert (available.level, available.text) == (Level.OK, "0.00 GB are available; the rings are there already")


def test_memory_that_does_not_suffice_is_a_problem(machine: Machine, tmp_path: Path) -> None:
    put(machine.proc, "meminfo", "MemAvailable: 1000 kB")
    _, available = memory.shared_memory(
        machine, detector(shared_memory={"frame_slots": 16, "image_slots": 4}), tmp_path
    )
    assert available.level is Level.PROBLEM


def test_a_full_disk_is_a_problem(tmp_path: Path) -> None:
    config = detector(writer={"output_roots": [str(tmp_path)], "min_free_gb": 1e6}).config
    assert one(memory.disks(config)).level is Level.PROBLEM


def test_an_output_directory_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = detector(writer={"output_roots": [str(tmp_path)], "min_free_gb": 0}).config
    assert not any("locks" in finding.text for finding in memory.disks(config))
    monkeypatch.setattr(memory, "has_locks", lambda folder: False)
    finding = next(iter(memory.disks(config)))
    assert finding.level is Level.WARNING
    assert "has no locks" in finding.text
    assert "HDF5_USE_FILE_LOCKING=FALSE" in finding.remedy


def test_clock_that_is_held_back_is_found(machine: Machine) -> None:
    assert list(processor.governor(machine)) == []
    put(machine.sys, "devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
    assert "cpupower" in one(processor.governor(machine)).remedy


def limit(machine: Machine, version: int, memory: object, cpus: str) -> None:
    if version == 2:
        put(machine.sys, "fs/cgroup/cgroup.controllers", "cpu memory")
        put(machine.sys, "fs/cgroup/memory.max", memory)
        put(machine.sys, "fs/cgroup/cpu.max", cpus)
    else:
        quota, period = cpus.split()
        put(machine.sys, "fs/cgroup/memory/memory.limit_in_bytes", memory)
        put(machine.sys, "fs/cgroup/cpu/cpu.cfs_quota_us", quota)
        put(machine.sys, "fs/cgroup/cpu/cpu.cfs_period_us", period)


def test_machine_without_limits_is_no_container(machine: Machine) -> None:
    assert list(container(machine, detector())) == []


@pytest.mark.parametrize("version", [1, 2])
def test_limits_that_are_too_low_for_rings_and_modules_are_found(machine: Machine, version: int) -> None:
    put(machine.root, ".dockerenv", "")
    limit(machine, version, 10**6, "150000 100000")
    kind, memory_limit, cpu_limit = container(machine, detector())
    assert "Docker" in kind.text
    assert (memory_limit.level, cpu_limit.level) == (Level.WARNING, Level.WARNING)
    assert "0.00 GB; rings of 1.51 GB" in memory_limit.text
    assert "1.5 CPUs" in cpu_limit.text


@pytest.mark.parametrize("version", [1, 2])
def test_limits_that_suffice_are_told(machine: Machine, version: int) -> None:
    limit(machine, version, 10**11, "3200000 100000")
    assert [finding.level for finding in container(machine, detector())] == [Level.OK] * 2
    assert [finding.level for finding in container(machine, None)] == [Level.OK] * 2


@pytest.mark.parametrize(
    ("version", "memory", "cpus"), [(1, 9223372036854771712, "-1 100000"), (2, "max", "max 100000")]
)
def test_container_without_limits_has_none(machine: Machine, version: int, memory: object, cpus: str) -> None:
    limit(machine, version, memory, cpus)
    assert list(container(machine, detector())) == []


def test_report_is_one_document_and_a_problem_ends_with_1(
    tmp_path: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(EIGER | {"ram_buffer_gb": 1e6}))
    assert main(["doctor", "--config", str(file), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["has_problem"]
    subjects = {finding["subject"] for finding in document["findings"]}
    assert {"socket buffers", "packet queue", "shared memory", "broker", "CPUs", "disk"} <= subjects


def test_broker_that_is_away_is_a_problem(
    tmp_path: Path, runtime: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from std_daq.diagnosis import broker

    monkeypatch.setattr(broker, "CONNECT_TIMEOUT_S", 0.3)
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(EIGER | {"broker": {"url": "amqp://127.0.0.1:1/"}}))
    assert main(["doctor", "--config", str(file)]) == 1
    assert "no connection to the broker" in capsys.readouterr().out


def test_machine_is_looked_at_without_a_detector(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor"])
    assert "packet queue" in capsys.readouterr().out
