"""``pip install 'std-daq[images]'``: a run of a simulated detector, with nothing of the checkout in reach."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_test_kit.fresh_environment import FreshEnvironment

PROJECT = Path(__file__).parents[2]
N_IMAGES = 20
READY_TIMEOUT_S = 300.0
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def config_file(runtime: Path, shm_dir: Path, tmp_path: Path) -> Path:
    """A simulated detector of one module that writes into a folder of the test."""
    file = tmp_path / "detector.json"
    config = {
        "detector_name": shm_dir.name,
        "detector_type": "jungfrau",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 512,
        "image_pixel_width": 1024,
        "start_udp_port": 50_700,
        "runtime_dir": str(runtime),
        "ram_buffer_gb": 0.1,
        "udp": {"address": "127.0.0.1"},
        "shared_memory": {"directory": str(shm_dir), "frame_buffer_gb": 0.1},
        "writer": {"output_roots": [str(tmp_path)], "min_free_gb": 0.0},
    }
    file.write_text(json.dumps(config))
    return file


@pytest.fixture
def services(images: FreshEnvironment, config_file: Path) -> Iterator[None]:
    """All services, and a RabbitMQ of theirs."""
    command = [images.commands / "std-daq", "up", "--config", str(config_file), "--ready-timeout", str(READY_TIMEOUT_S)]
    log = config_file.with_name("up.log")
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=images.folder, env=images.variables(), stdout=subprocess.PIPE, stderr=errors, text=True
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n", log.read_text()[-3000:]
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)
    assert process.returncode == 0, log.read_text()[-3000:]


def test_nothing_of_the_checkout_is_on_the_path(images: FreshEnvironment) -> None:
    code = "import sys, std_daq, std_udp_recv; print(std_daq.__file__, std_udp_recv.__file__, *sys.path)"
    paths = images.run("python", "-c", code).stdout.split()
    assert all(Path(path).is_relative_to(images.folder) for path in paths[:2])
    assert not any(Path(path).is_relative_to(PROJECT) for path in paths[2:])
    assert images.run("python", "-c", "import std_test_kit").returncode == 1
    assert images.run("python", "-c", "import std_benchmarks").returncode == 1


@pytest.mark.usefixtures("services")
def test_run_of_a_simulated_detector_is_written_and_sound(images: FreshEnvironment, config_file: Path) -> None:
    file = config_file.with_name("run.h5")
    config = ("--config", str(config_file))
    simulate = [images.commands / "std-daq", "simulate", *config, "--n-images", str(5 * N_IMAGES), "--rate-hz", "20"]
    with subprocess.Popen(simulate, env=images.variables()):
        wanted = ("--output-file", str(file), "--n-images", str(N_IMAGES))
        written = images.run("std-daq", "write", *config, *wanted, "--json")
    report = json.loads(written.stdout)
    assert (written.returncode, report["verdict"], report["n_written"]) == (0, "complete", N_IMAGES)
    checked = images.run("std-daq", "validate", "--json", str(file))
    assert checked.returncode == 0, checked.stdout
    assert json.loads(checked.stdout)["n_images"] == N_IMAGES
