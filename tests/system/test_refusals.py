"""What a container says that cannot start, and that it starts when it can."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from std_test_kit.container_beamline import ContainerBeamline
from std_test_kit.engine import PROJECT, Container, EngineError, Health, docker

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none")
# Checked more often than in operation.
CHECKS = ("--health-interval", "1s", "--health-retries", "1", "--health-start-period", "0s")
TIMEOUT_S = 60.0

StartService = Callable[..., Container]

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """The configuration of the simulated beamline, for the test to change in place."""
    return Path(shutil.copy(PROJECT / "docker" / "beamlines" / "simulated_jungfrau" / "detector.json", tmp_path))


@pytest.fixture
def start_service(images: dict[str, str], config_file: Path, user_id: int) -> Iterator[StartService]:
    """Starts one service in a container: ``start_service("assembler", "--shm-size", "16m")``."""
    with ExitStack() as started:

        def start(target: str, *options: str) -> Container:
            name = f"std-daq-test-{os.getpid()}-{target}"
            started.callback(docker, "rm", "--force", "--volumes", name)
            docker(
                *("run", "--detach", "--name", name, *HARDENED, *CHECKS, "--user", f"{user_id}:{user_id}"),
                *("--tmpfs", "/tmp", "--tmpfs", f"/run/std-daq:uid={user_id},mode=0770"),
                *("--volume", f"{config_file}:/etc/std-daq/detector.json:ro"),
                *(*options, images[target]),
            )
            return Container(name)

        yield start


def change(file: Path, **changes: Any) -> dict[str, Any]:
    """Change keys in place, as a container sees the file that was there when it started; returns what was there."""
    document: dict[str, Any] = json.loads(file.read_text())
    file.write_text(json.dumps({**document, **changes}))
    return document


def is_healthy(health: Health) -> bool:
    return health.status == "healthy"


def wait_for_reason(container: Container, *parts: str) -> None:
    """Wait until a container is unhealthy for a reason that has these parts, which is one line of its log."""
    said = container.wait_for_health(
        lambda health: health.status == "unhealthy" and parts[0] in health.words, TIMEOUT_S
    )
    for part in parts:
        assert part in said.words
    assert len(said.words.splitlines()) == 1
    errors = [line for line in container.logs.splitlines() if json.loads(line)["level"] == "error"]
    assert len(errors) == 1, errors
    assert said.words in json.loads(errors[0])["error"]


def test_wrong_configuration(start_service: StartService, config_file: Path) -> None:
    right = change(config_file, n_modulse=4)
    container = start_service("udp-recv", "--shm-size", "1g")
    wait_for_reason(container, "n_modulse", "did you mean 'n_modules'")
    config_file.write_text(json.dumps(right))
    container.wait_for_health(is_healthy, TIMEOUT_S)
    assert container.n_restarts == 0


def test_shared_memory_that_is_too_small(start_service: StartService, config_file: Path) -> None:
    container = start_service("udp-recv", "--shm-size", "64m")
    wait_for_reason(container, "/dev/shm", "GB are needed", "0.067")
    change(config_file, shared_memory={"frame_buffer_gb": 0.05})
    container.wait_for_health(is_healthy, TIMEOUT_S)


def test_data_folder_that_cannot_be_written_to(start_service: StartService, user_id: int, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o555)
    container = start_service("h5-writer", "--shm-size", "64m", "--volume", f"{data}:/data")
    wait_for_reason(container, "writer.output_roots", "/data", str(user_id))
    if os.geteuid() == 0:
        os.chown(data, user_id, user_id)
    data.chmod(0o755)
    container.wait_for_health(is_healthy, TIMEOUT_S)


def test_up_tells_why_a_beamline_is_not_healthy(images: dict[str, str], user_id: int, tmp_path: Path) -> None:
    settings = {"RINGS_SIZE": "64m"}
    with ContainerBeamline("simulated_jungfrau", tmp_path, user_id=user_id, settings=settings) as beamline:
        with pytest.raises(EngineError, match=r"assembler: .*/dev/shm") as raised:
            beamline.up(timeout_s=20)
        assert "udp-recv: " in str(raised.value)
