"""The simulated beamline in containers, from its compose file."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_test_kit.container_beamline import ContainerBeamline
from std_test_kit.engine import PROJECT
from std_test_kit.simulated_file import check_counter_pixels, image_ids
from std_test_kit.wait import wait_until

SERVICES = ("udp-recv", "assembler", "writer-agent", "h5-writer")
RATE_HZ = 5
IMAGE_BYTES = 2048 * 1024 * 2
HEALTHY_TIMEOUT_S = 60.0

pytestmark = pytest.mark.timeout(240)


class Series:
    """Series of simulated images, one after the other: no image has the id of another."""

    def __init__(self) -> None:
        self._n_images = 0

    def next(self, n_images: int) -> tuple[int, list[str]]:
        """Return the id of the first image of a new series, and the arguments of ``simulate``."""
        first, self._n_images = self._n_images + 1, self._n_images + n_images
        what = ["--pattern", "counter", "--n-images", str(n_images), "--first-frame", str(first)]
        return first, ["--host", "udp-recv", "--rate-hz", str(RATE_HZ), *what]


@pytest.fixture(scope="module")
def series() -> Series:
    return Series()


def test_write_request_gives_a_validated_file_of_the_user_in_a_folder_of_the_host(
    simulated_beamline: ContainerBeamline, series: Series
) -> None:
    first, send = series.next(20)
    exit_code, report = simulated_beamline.record("run.h5", ["--n-images", "20"], [*send, "--when-requested"])
    assert (exit_code, report["verdict"], report["n_written"]) == (0, "complete", 20)
    file = simulated_beamline.data / "run.h5"
    assert (file.stat().st_uid, file.stat().st_gid) == (simulated_beamline.user_id, simulated_beamline.user_id)
    assert validate(file).is_valid
    assert image_ids(file) == list(range(first, first + 20))
    check_counter_pixels(simulated_beamline.config, file, first)


def test_console_tells_the_state_of_each_service(simulated_beamline: ContainerBeamline) -> None:
    told = simulated_beamline.wait_for_console(
        {*("udp-recv", "assembler", "writer-agent"), "h5-writer-0", "live-stream", "web"}
    )
    assert (told["fine"], told["absent"], told["broker"]["is_usable"]) == (True, [], True), told["findings"]


def test_ten_lines_of_pika_from_the_docs_have_a_file_written(
    simulated_beamline: ContainerBeamline, series: Series
) -> None:
    page = (PROJECT / "docs" / "how-to" / "write-by-request.md").read_text()
    found = re.search(r"```python\n(import json, .*?pika.*?)```", page, re.DOTALL)
    assert found
    url_file = simulated_beamline.broker_url_file(f"{simulated_beamline.config.name}-client")
    script = found[1].replace('"secrets/demo-eiger-client.url"', repr(str(url_file)))
    script = script.replace("demo-eiger", simulated_beamline.config.name)
    with subprocess.Popen([sys.executable, "-u", "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "accepted" in process.stdout.readline()
        _, send = series.next(20)
        simulated_beamline.std_daq("simulate", *send)
        out, _ = process.communicate(timeout=60.0)
    assert process.returncode == 0
    assert "request_success" in out
    assert validate(simulated_beamline.data / "run_5.h5").is_valid


@pytest.mark.parametrize("service", [*SERVICES, "broker"])
def test_killed_container_comes_back_and_its_run_ends_with_an_honest_verdict(
    simulated_beamline: ContainerBeamline, series: Series, service: str
) -> None:
    container = simulated_beamline.container(service)
    n_restarts = container.n_restarts
    first, send = series.next(30)
    name = f"{service}.h5"
    file = simulated_beamline.data / name

    def kill() -> None:
        wait_until(lambda: file.exists() and file.stat().st_size > 3 * IMAGE_BYTES, HEALTHY_TIMEOUT_S)
        os.kill(container.pid, signal.SIGKILL)

    write = ["--n-images", "30", "--image-timeout", "20"]
    exit_code, report = simulated_beamline.record(name, write, send, kill)
    if service == "h5-writer":
        recover(file)
        assert (exit_code, report["verdict"]) == (5, "failed")
    elif service == "writer-agent":
        assert (exit_code, report["verdict"]) == (5, "failed")
    else:
        known = sorted([*image_ids(file), *report["lost_image_ids"]])
        assert known == list(range(first, first + len(known)))
        is_whole = len(image_ids(file)) == 30 and report["n_incomplete"] == 0
        assert (exit_code, report["verdict"]) == ((0, "complete") if is_whole else (3, "incomplete"))
    if service == "broker":
        assert report["verdict"] == "complete", "the broker takes no part in the flow of images"
    assert len(image_ids(file)) >= report["n_written"]
    check_counter_pixels(simulated_beamline.config, file, first)
    wait_until(lambda: container.n_restarts == n_restarts + 1, HEALTHY_TIMEOUT_S)
    container.wait_for_health(lambda health: health.status == "healthy", HEALTHY_TIMEOUT_S)

    _, send = series.next(10)
    exit_code, report = simulated_beamline.record(f"after-{name}", ["--n-images", "10"], send)
    assert (exit_code, report["n_written"]) == (0, 10), report


def test_containers_have_no_rights_that_they_do_not_need(simulated_beamline: ContainerBeamline) -> None:
    for service, container in simulated_beamline.containers().items():
        host = container.inspect()["HostConfig"]
        assert host["ReadonlyRootfs"], service
        assert not host["Privileged"], service
        status = dict(line.split(":", 1) for line in Path(f"/proc/{container.pid}/status").read_text().splitlines())
        # RabbitMQ's image has a user of its own.
        user_id = 999 if service == "broker" else simulated_beamline.user_id
        assert set(status["Uid"].split()) == {str(user_id)}, service
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}, service
        assert status["NoNewPrivs"].strip() == "1", service
        assert status["Seccomp"].strip() == "2", service


def test_nothing_listens_beyond_loopback(simulated_beamline: ContainerBeamline) -> None:
    for service, container in simulated_beamline.containers().items():
        published = container.inspect()["NetworkSettings"]["Ports"]
        addresses = {binding["HostIp"] for bindings in published.values() for binding in bindings or ()}
        assert addresses <= {"127.0.0.1"}, service
        assert container.inspect()["HostConfig"]["NetworkMode"] != "host", service


def test_secrets_are_in_no_log_and_in_nothing_that_the_engine_tells(simulated_beamline: ContainerBeamline) -> None:
    urls = [file.read_text() for file in (simulated_beamline.folder / "secrets").glob("*.url")]
    passwords = {password for url in urls for password in re.findall(r"//[^:]*:([^@]+)@", url)}
    assert len(passwords) > 1
    passwords.add((simulated_beamline.folder / "secrets" / "web-token").read_text().strip())
    for service, container in simulated_beamline.containers().items():
        told = f"{container.inspect()}{container.logs}"
        assert not [password for password in passwords if password in told], service
        environment = Path(f"/proc/{container.pid}/environ").read_text()
        command = " ".join(psutil.Process(container.pid).cmdline())
        assert not [password for password in passwords if password in environment + command], service
