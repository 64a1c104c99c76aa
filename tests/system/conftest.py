"""Fixtures of the tests with containers and with several servers."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from std_test_kit.container_beamline import ContainerBeamline
from std_test_kit.engine import EngineError, docker, image_tag, why_no_engine
from std_test_kit.network_lab import NetworkLab

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def network_lab() -> Iterator[NetworkLab]:
    """Two servers and a wire between them."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a network lab needs root and iproute2")
    with NetworkLab() as lab:
        yield lab


@pytest.fixture(scope="session")
def engine(pytestconfig: pytest.Config) -> None:
    """A Docker engine; without one tests are skipped, but fail with ``--require-containers``."""
    reason = why_no_engine()
    if reason is not None:
        (pytest.fail if pytestconfig.getoption("require_containers") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def images(engine: None, pytestconfig: pytest.Config) -> dict[str, str]:
    """The names of all images by target; they are made by docker/build.sh, which scripts/test-containers runs."""
    targets = [page.parent.name.replace("_", "-") for page in (PROJECT / "services").glob("*/README.md")] + ["tools"]
    names = {target: f"std-daq/{target}:{image_tag()}" for target in sorted(targets)}
    try:
        docker("image", "inspect", *names.values())
    except EngineError:
        reason = "not all images are there: run docker/build.sh"
        (pytest.fail if pytestconfig.getoption("require_containers") else pytest.skip)(reason)
    return names


@pytest.fixture(scope="session")
def user_id() -> int:
    """Whom the files of beamlines are to belong to: not root, and not the user that images have by default."""
    return os.getuid() or 4321


@pytest.fixture(scope="module")
def simulated_beamline(
    images: dict[str, str], user_id: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ContainerBeamline]:
    """The simulated beamline, up for all tests of a module."""
    with ContainerBeamline("simulated_jungfrau", tmp_path_factory.mktemp("simulated"), user_id=user_id) as beamline:
        beamline.up()
        yield beamline
