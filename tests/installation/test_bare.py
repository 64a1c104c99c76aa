"""``pip install std-daq``: the client, for scripts and notebooks."""

import re
import shutil
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from std_test_kit.fresh_environment import FreshEnvironment
from std_test_kit.store_driver import RingPublisher

PROJECT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
# Of no extra yet, but of systems to come.
HEAVY = {"fastapi", "grpcio", "scipy", "scikit-learn", "dask", "cython"}


NOTEBOOK = """
import sys
from std_daq.client import ImageReader
with ImageReader(sys.argv[1], start="oldest", timeout_s=0.1) as images:
    for image in images:
        print(image.id, int(image.pixels.sum()))
"""


@pytest.fixture
def config_file(bare: FreshEnvironment) -> str:
    """The configuration of a detector, beside the user's notebook."""
    shutil.copy(PROJECT / "docker/beamlines/simulated_jungfrau/detector.json", bare.folder)
    return "detector.json"


def test_no_library_of_an_extra_is_installed(bare: FreshEnvironment) -> None:
    of_extras = {re.split(r"[^\w-]", one)[0].lower() for needs in EXTRAS.values() for one in needs} - {"std-daq", "pip"}
    assert {"numba", "h5py", "hdf5plugin", "pillow", "pytest"} <= of_extras
    assert set(bare.distributions()) & (of_extras | HEAVY) == set()
    assert bare.run("python", "-m", "pip", "check").returncode == 0


def test_client_is_imported_from_the_wheel_and_reads_a_configuration(bare: FreshEnvironment, config_file: str) -> None:
    code = f"import std_daq.client as c; print(c.__file__); print(c.DaqClient({config_file!r}).config.n_modules)"
    done = bare.run("python", "-c", code)
    file, n_modules = done.stdout.split()
    assert Path(file).is_relative_to(bare.folder)
    assert n_modules == "4"


def test_notebook_reads_images_of_a_ring(bare: FreshEnvironment, shm_dir: Path) -> None:
    path = shm_dir / "images"
    with closing(RingPublisher(path)) as publisher:
        publisher.publish(7)
        done = bare.run("python", "-c", NOTEBOOK, str(path))
        assert (done.stdout, done.stderr) == (f"7 {int(publisher.ring.images[0].sum())}\n", "")


def test_status_tells_that_nothing_runs(bare: FreshEnvironment, config_file: str) -> None:
    done = bare.run("std-daq", "status", "--config", config_file, "--once")
    assert (done.returncode, done.stderr) == (1, "")
    assert "simulated-jungfrau" in done.stdout


@pytest.mark.parametrize("command", [["--help"], ["write", "--help"], ["status", "--help"], ["up", "--help"]])
def test_commands_explain_themselves(bare: FreshEnvironment, command: list[str]) -> None:
    done = bare.run("std-daq", *command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: std-daq")


def test_command_says_the_version_of_the_wheel(bare: FreshEnvironment, wheel: Path) -> None:
    version = wheel.name.split("-")[1]
    assert bare.run("std-daq", "--version").stdout == f"std-daq {version}\n"
    assert bare.distributions()["std-daq"] == version


def test_what_needs_an_extra_says_which(bare: FreshEnvironment, config_file: str) -> None:
    done = bare.run("std-daq", "validate", "x.h5")
    assert (done.returncode, done.stderr) == (2, "std-daq validate: needs h5py: pip install 'std-daq[images]'\n")
    done = bare.run("std-udp-recv", "--config", config_file)
    assert done.returncode == 2
    assert re.search(r"needs (numba|llvmlite): pip install 'std-daq\[images\]'", done.stderr), done.stderr
