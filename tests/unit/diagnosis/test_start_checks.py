"""What a service refuses at its start, `std-daq config check` and `std-daq doctor` refuse with the same words."""

import importlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli.__main__ import main
from std_daq.config.system import load_any_config
from std_daq.service.registry import service_descriptions, wanted_instances
from std_test_kit.free_ports import free_udp_ports

NOBODY = 65534

EIGER = {
    "detector_name": "det",
    "detector_type": "eiger",
    "n_modules": 2,
    "bit_depth": 16,
    "image_pixel_height": 256,
    "image_pixel_width": 1028,
    "start_udp_port": 0,
    "module_positions": {"0": [0, 0, 513, 255], "1": [514, 0, 1027, 255]},
    "ram_buffer_gb": 0.02,
    "shared_memory": {"frame_buffer_gb": 0.02},
}
CHAMBER = {
    "detector_name": "chamber",
    "detector_type": "get-tpc",
    "exporters": ["127.0.0.1:1"],
    "pads": {"geometry": "pads.csv"},
    "boards": [[0, 0]],
    "builder": {"ram_buffer_gb": 0.2},
}


@pytest.fixture
def write(tmp_path: Path, shm_dir: Path, runtime: Path) -> Callable[..., Path]:
    """Return a function that writes the configuration of a system, with changes, and returns its path."""

    def write(file: str, **changes: Any) -> Path:
        document: dict[str, Any]
        if file == "detector.json":
            document = EIGER | {"start_udp_port": free_udp_ports(4)}
            document["shared_memory"] = EIGER["shared_memory"] | {"directory": str(shm_dir)}  # type: ignore[operator]
        elif file == "tpc.json":
            (tmp_path / "pads.csv").write_text("x,y\n" + "".join(f"{i},{i}\n" for i in range(10_240)))
            document = CHAMBER | {"shared_memory": {"directory": str(shm_dir)}}
            document["pads"] = {"geometry": str(tmp_path / "pads.csv")}
        elif file == "farm.json":
            document = {"name": "farm", "geometry": str(tmp_path / "none.json"), "n_workers": 1}
        else:
            document = {"port": 0}
        for key, value in changes.items():
            inner = document.get(key)
            document[key] = inner | value if isinstance(inner, dict) and isinstance(value, dict) else value
        path = tmp_path / file
        path.write_text(json.dumps(document))
        return path

    return write


def words_of_check(file: Path, capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert main(["config", "check", str(file)]) == code
    output = capsys.readouterr()
    return output.out + output.err


def start(file: Path, service: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Start a service, which refuses, and return what it logs."""
    (description,) = (one for one in service_descriptions() if one.name == service)
    assert importlib.import_module(f"{description.package}.__main__").main(["--config", str(file)]) in {1, 2}
    output = capsys.readouterr()
    return output.err + output.out


EVERYWHERE: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a number is text": ("detector.json", {"bit_depth": "16"}, "udp-recv", "key 'bit_depth'"),
    "a flag is text": ("detector.json", {"udp": {"gro": "true"}}, "udp-recv", "key 'udp.gro'"),
    "an address is an interface": ("detector.json", {"udp": {"address": "eth9"}}, "udp-recv", "no IPv4 or IPv6"),
    "an interface without a group": (
        "detector.json", {"udp": {"address": "127.0.0.1", "interface": "lo"}}, "udp-recv", "is for multicast groups",
    ),
    "a detector that does not exist": ("detector.json", {"detector_type": "camera"}, "assembler", "unknown detector"),
    "all modules are off": ("detector.json", {"deactivate": [0, 1]}, "udp-recv", "are deactivated"),
    "a window beyond the ring": (
        "detector.json", {"shared_memory": {"frame_slots": 8}, "udp": {"window_frames": 64}}, "udp-recv", "this window",
    ),
    "a ring for no image": ("detector.json", {"ram_buffer_gb": 1e-6}, "assembler", "at least 4 are needed"),
    "a ring for no frame": (
        "detector.json", {"shared_memory": {"frame_buffer_gb": 1e-6}}, "udp-recv", "at least 8 are needed",
    ),
    "a tag that is no routing key": ("detector.json", {"broker": {"tag": "a b"}}, "writer-agent", "a tag has 1 to 100"),
    "a credit for fewer images than sources": (
        "detector.json",
        {"replication": {"receive": {"sources": ["tcp://a:1", "tcp://b:1"], "credit_images": 1}}},
        "stream-recv",
        "sources need credit",
    ),
    "a ring for no event": ("tpc.json", {"builder": {"ram_buffer_gb": 0.001}}, "event-builder", "is too small for 4"),
    "pads that are not there": ("tpc.json", {"pads": {"geometry": "no.csv"}}, "event-builder", "there is no such file"),
    "a phase that is not there": (
        "tpc.json", {"analysis": {"phases": [{"file": "no.py", "function": "f"}]}}, "event-analysis", "no.py",
    ),
    "a geometry that is not there": ("farm.json", {}, "", "there is no such file"),
    "a chip file that is not there": ("ublox.json", {"start": {"f9t_config": "no.json5"}}, "ublox-control", "no.json5"),
}  # fmt: skip

HERE: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a folder that is not there": (
        "detector.json", {"writer": {"output_roots": ["/nowhere"]}}, "h5-writer", "there is no such folder",
    ),
    "the same, of the agent": (
        "detector.json", {"writer": {"output_roots": ["/nowhere"]}}, "writer-agent", "there is no such folder",
    ),
    "a group that is not there": ("detector.json", {"writer": {"group": "no-such"}}, "h5-writer", "no such group"),
    "a journal in no folder": (
        "detector.json", {"writer": {"journal": "/nowhere/j.sqlite"}}, "writer-agent", "unable to open database file",
    ),
    "a file of no broker": (
        "detector.json", {"broker": {"url_file": "/nowhere/url"}}, "writer-agent", "key 'broker.url_file': cannot be",
    ),
    "a CPU that is not there": ("detector.json", {"udp": {"cpus": [4095]}}, "udp-recv", "to run on CPU 4095"),
    "an address of another machine": (
        "detector.json", {"udp": {"address": "192.0.2.1"}}, "udp-recv", "no interface of this machine has this address",
    ),
    "a group at no interface": (
        "detector.json", {"udp": {"address": "239.1.2.3", "interface": "eth9"}}, "udp-recv", "no interface has this",
    ),
    "a ring of 9000 GB": ("detector.json", {"ram_buffer_gb": 9000}, "assembler", "GB are needed"),
    "frames of 9000 GB": ("detector.json", {"shared_memory": {"frame_buffer_gb": 9000}}, "udp-recv", "GB are needed"),
    "rings on no mount": (
        "detector.json", {"shared_memory": {"directory": "/nowhere"}}, "udp-recv", "cannot be used for shared memory",
    ),
    "a stream at an interface that is not there": (
        "detector.json",
        {"live_stream_configs": {"tcp://eth9:20000": {"type": "forward"}}},
        "live-stream",
        "live stream tcp://eth9:20000 cannot be bound",
    ),
    "a sender at the address of another machine": (
        "detector.json", {"replication": {"send": [{"address": "tcp://192.0.2.1:9700"}]}}, "stream-send", "be bound",
    ),
    "a certificate that is not there": (
        "detector.json",
        {"replication": {"send": [{"tls": {"ca_file": "/no", "cert_file": "/no", "key_file": "/no"}}]}},
        "stream-send",
        "key 'replication.send.0.tls.ca_file': cannot be read",
    ),
    "metrics at the address of another machine": (
        "detector.json", {"metrics": {"address": "192.0.2.1"}}, "assembler", "metrics cannot be served at 192.0.2.1",
    ),
    "events of 9000 GB": ("tpc.json", {"builder": {"ram_buffer_gb": 9000}}, "event-builder", "GB are needed"),
    "a token that is not there": ("live.json", {"token_file": "no-token"}, "live-view", "key 'token_file': cannot be"),
    "a socket in no folder": ("live.json", {"unix_socket": "no/folder.sock"}, "live-view", "there is no folder"),
    "a gateway without its file": ("live.json", {"gateway": {"daq_config": "no.json"}}, "live-view", "no such file"),
    "a server at the address of another machine": (
        "ublox.json", {"host": "192.0.2.1"}, "ublox-control", "192.0.2.1:0 cannot be bound",
    ),
}  # fmt: skip


def reason(text: str) -> str:
    """Return the text without line ends and the escapes of logs."""
    return " ".join(text.replace("\\\\", "\\").replace("\\'", "'").split())


@pytest.mark.parametrize("case", EVERYWHERE)
def test_what_is_wrong_everywhere_is_refused_by_all(
    case: str, write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file_name, changes, service, words = EVERYWHERE[case]
    file = write(file_name, **changes)
    assert words in words_of_check(file, capsys, 2)
    assert words in words_of_check_elsewhere(file, capsys, 2)
    assert main(["doctor", "--config", str(file)]) == 2
    assert words in reason(capsys.readouterr().err)
    if service:
        assert words in reason(start(file, service, capsys))


@pytest.mark.long
@pytest.mark.parametrize("case", HERE)
def test_what_this_machine_lacks_is_refused_by_all_of_this_machine(
    case: str, write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file_name, changes, service, words = HERE[case]
    file = write(file_name, **changes)
    told = words_of_check(file, capsys, 1)
    assert words in told
    assert "on this machine" in told
    assert "is valid" in words_of_check_elsewhere(file, capsys, 0)
    assert main(["doctor", "--config", str(file)]) == 1
    assert words in capsys.readouterr().out
    assert words in reason(start(file, service, capsys))


def words_of_check_elsewhere(file: Path, capsys: pytest.CaptureFixture[str], code: int) -> str:
    assert main(["config", "check", "--for-another-machine", str(file)]) == code
    output = capsys.readouterr()
    return output.out + output.err


@pytest.mark.parametrize("file_name", ["detector.json", "tpc.json", "live.json", "ublox.json"])
def test_a_right_configuration_passes_and_leaves_nothing_behind(
    file_name: str, write: Callable[..., Path], shm_dir: Path, runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(file_name)
    assert "is valid" in words_of_check(file, capsys, 0)
    assert not list(shm_dir.iterdir())
    assert not list(runtime.rglob("*"))


def test_the_result_for_programs_tells_both_parts(
    write: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "check", "--json", str(write("detector.json", udp={"cpus": [4095]}))]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["is_valid"]
    assert not document["runs_here"]
    assert [entry["subject"] for entry in document["on_this_machine"]] == ["CPUs"]


def test_every_check_of_every_service_has_a_case() -> None:
    cased = {service for _, _, service, _ in (*EVERYWHERE.values(), *HERE.values())}
    checked = {one.name for one in service_descriptions() if one.checks}
    # The router and the workers of a farm are started by their command line; the view has only the pads of the builder.
    assert checked - cased <= {"sim-router", "sim-worker", "event-view"}


def test_a_port_that_a_service_of_the_same_system_has_is_no_fault(
    write: Callable[..., Path], runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from std_daq.service.record import OwnRecord, endpoint_socket

    file = write("detector.json")
    config = load_any_config(file)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", config.start_udp_port))  # type: ignore[attr-defined]
        assert "Address already in use" in words_of_check(file, capsys, 1)
        (runtime / config.name).mkdir(parents=True, exist_ok=True)
        endpoint_socket(config, "udp-recv")
        record = OwnRecord(config, "udp-recv", "http://127.0.0.1:1")
        try:
            assert "is valid" in words_of_check(file, capsys, 0)
        finally:
            record.remove()


def test_folders_of_another_user_are_checked_as_that_user(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if os.geteuid() != 0:
        file = write("detector.json", writer_user_id=os.geteuid() + 1)
        assert "cannot create files for another user" in words_of_check(file, capsys, 1)
        return
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    groups = os.getgroups()
    file = write("detector.json", writer_user_id=NOBODY, writer={"output_roots": [str(folder)]})
    assert f"user {NOBODY} cannot write to this folder" in words_of_check(file, capsys, 1)
    assert os.getgroups() == groups


def test_wanted_services_have_their_checks(write: Callable[..., Path]) -> None:
    config = load_any_config(write("detector.json"))
    assert all(one.service.checks for one in wanted_instances(config) if one.service.name != "event-view")
