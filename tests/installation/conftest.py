"""The wheel, and environments outside the checkout into which it is installed as users install it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from std_test_kit.fresh_environment import INSTALL_TIMEOUT_S, FreshEnvironment

PROJECT = Path(__file__).parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--packages", type=Path, help="folder of scripts/build-packages; by default it is made")


MakeEnvironment = Callable[[str], FreshEnvironment]


@pytest.fixture(scope="session")
def packages(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel, sources and constraints."""
    given: Path | None = pytestconfig.getoption("packages")
    if given is not None:
        return given.absolute()
    folder = tmp_path_factory.mktemp("packages")
    subprocess.run([PROJECT / "scripts" / "build-packages", folder], check=True, timeout=INSTALL_TIMEOUT_S)
    return folder


@pytest.fixture(scope="session")
def wheel(packages: Path) -> Path:
    (wheel,) = packages.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def make_environment(wheel: Path, packages: Path, tmp_path_factory: pytest.TempPathFactory) -> MakeEnvironment:
    """Installs the wheel, with an extra, into a new environment."""

    def make(extra: str) -> FreshEnvironment:
        environment = FreshEnvironment(tmp_path_factory.mktemp(extra or "bare"))
        environment.install(f"{wheel}[{extra}]" if extra else str(wheel), packages / "constraints.txt")
        return environment

    return make


@pytest.fixture(scope="session")
def bare(make_environment: MakeEnvironment) -> FreshEnvironment:
    """An environment with the client alone."""
    return make_environment("")


@pytest.fixture(scope="session")
def images(make_environment: MakeEnvironment) -> FreshEnvironment:
    """An environment with all services of images."""
    return make_environment("images")


@pytest.fixture(scope="session", autouse=True)
def _python_is_the_one_of_the_checkout() -> None:
    assert sys.prefix != sys.base_prefix, "run by scripts/test-install, which builds with what .venv has"
