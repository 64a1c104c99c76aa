"""The units of std-daq systemd, run by systemd itself: from an empty server to a verdict, as the page tells it."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.native.compile_cache import use_own_cache
from std_test_kit.free_ports import free_udp_ports
from std_test_kit.systemd_machine import SystemdMachine, why_no_machine

# A service that has to compile first takes its time.
pytestmark = pytest.mark.timeout(300)

PROJECT = Path(__file__).parents[2]
N_IMAGES = 50
COMMANDS = f"export PATH={Path(sys.executable).parent}:$PATH STD_DAQ_RUNTIME_DIR=/run/std-daq"
TARGET = "std-daq-jungfrau.target"


def _config(first_port: int) -> dict[str, object]:
    return {
        "detector_name": "jungfrau",
        "detector_type": "jungfrau",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 512,
        "image_pixel_width": 1024,
        "start_udp_port": first_port,
        "ram_buffer_gb": 0.2,
        "shared_memory": {"frame_buffer_gb": 0.1, "directory": "/dev/shm/std-daq"},
        "writer": {"output_roots": ["/data"], "journal": "/var/lib/std-daq/journal.sqlite"},
        "detector": {"conversion": "raw"},
    }


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    if reason := why_no_machine():
        pytest.skip(reason)
    shared = [PROJECT, Path(sys.prefix), Path(sys.base_prefix)]
    outside = [folder for folder in shared if not folder.is_relative_to("/usr")]
    folder = tmp_path_factory.mktemp("machine")
    cache = use_own_cache()
    with SystemdMachine(folder, [*outside, cache]) as made:
        # As after the first start: compiling takes a minute, and is no matter of systemd.
        made.run(f"""
            for folder in {" ".join(map(str, outside))}; do
                while [ "$folder" != / ]; do folder=$(dirname "$folder"); chmod o+x "$folder"; done
            done
            useradd --system --user-group --no-create-home std-daq
            install -d -o std-daq -g std-daq /var/cache/std-daq /data
            cp -r {cache} /var/cache/std-daq/ && chown -R std-daq: /var/cache/std-daq
            cp -r /usr/lib/systemd/system/rabbitmq-server.service /etc/systemd/system/
        """)
        yield made


@pytest.fixture(scope="module")
def services(machine: SystemdMachine) -> None:
    config = json.dumps(_config(free_udp_ports(1)))
    machine.run(
        f"""
        {COMMANDS}
        install -d /etc/std-daq && cd /etc/std-daq
        cat > detector.json <<'END'
{config}
END
        std-daq broker-setup --config detector.json --output secrets --host localhost --listen-on 127.0.0.1
        install -d /etc/rabbitmq && cp secrets/definitions.json secrets/rabbitmq.conf /etc/rabbitmq/
        rm -rf /var/lib/rabbitmq && install -d -o rabbitmq -g rabbitmq /var/lib/rabbitmq
        std-daq systemd --config detector.json --output /etc/systemd/system \
            --broker-url-file secrets/jungfrau-agent.url
        systemctl daemon-reload
        systemctl start --no-block rabbitmq-server {TARGET}
        """,
        timeout_s=90,
    )
    for unit in ("udp-recv", "assembler", "writer-agent", "h5-writer-0"):
        machine.wait_for(f"std-daq-jungfrau-{unit}.service", "StatusText", "ready", timeout_s=90)


def test_request_gets_its_verdict_and_a_file_of_the_services_user(machine: SystemdMachine, services: None) -> None:
    said = machine.run(f"""
        {COMMANDS}
        cd /etc/std-daq
        export STD_DAQ_BROKER_URL_FILE=$PWD/secrets/jungfrau-client.url
        std-daq write --config detector.json --output-file /data/run.h5 --n-images {N_IMAGES} > /tmp/verdict &
        writing=$!
        until grep -q request_start /tmp/verdict || ! kill -0 $writing; do
            std-daq simulate --config detector.json --n-images 100 --rate-hz 200 > /dev/null
        done
        wait $writing
        std-daq validate /data/run.h5
        stat --format %U /data/run.h5
    """)
    assert said.splitlines()[-1] == "std-daq"


def test_writer_that_is_killed_is_started_again(machine: SystemdMachine, services: None) -> None:
    unit = "std-daq-jungfrau-h5-writer-0.service"
    before = machine.state(unit, "MainPID")
    machine.run(f"systemctl kill --signal=KILL {unit}")
    machine.wait_for(unit, "NRestarts", "1")
    machine.wait_for(unit, "StatusText", "ready")
    assert machine.state(unit, "MainPID") != before


def test_service_cannot_write_where_it_has_no_business(machine: SystemdMachine, services: None) -> None:
    pid = machine.state("std-daq-jungfrau-assembler.service", "MainPID")
    said = machine.run(f"""
        for folder in /data /etc/std-daq /var/lib /usr; do
            nsenter --target={pid} --mount touch $folder/mine 2>/dev/null && echo "$folder" || true
        done
    """)
    assert said == ""


def test_wrong_configuration_ends_its_service_once_and_says_why(machine: SystemdMachine, services: None) -> None:
    unit = "std-daq-jungfrau-assembler.service"
    machine.run(
        f"cp /etc/std-daq/detector.json /tmp/right; echo '{{}}' > /etc/std-daq/detector.json; systemctl kill {unit}"
    )
    machine.wait_for(unit, "ActiveState", "failed")
    assert machine.state(unit, "ExecMainStatus") == "2"
    machine.run(f"cp /tmp/right /etc/std-daq/detector.json; systemctl start {unit}")
    machine.wait_for(unit, "StatusText", "ready")


def test_target_ends_all_services_and_their_rings_stay(machine: SystemdMachine, services: None) -> None:
    machine.run(f"systemctl stop {TARGET}")
    machine.wait_for("std-daq-jungfrau-udp-recv.service", "ActiveState", "inactive")
    assert machine.state("std-daq-jungfrau-udp-recv.service", "Result") == "success"
    assert "jungfrau-images" in machine.run("ls /dev/shm/std-daq; ls /run/std-daq/jungfrau/services > /dev/null")
