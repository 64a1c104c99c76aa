"""The bare package imports no library of an extra, and a command that needs one says which."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from std_daq.errors import MissingExtraError
from std_daq.extras import extra_of, extras_explained

PROJECT = Path(__file__).parents[3]
PACKAGES = [PROJECT / "std_daq", *sorted(PROJECT.glob("services/*/std_*"))]

# What a script, a notebook or a server without detectors imports.
BARE_PACKAGES = (
    *("amqp", "cli", "client", "config", "diagnosis", "imaging/buffers", "imaging/config", "imaging/protocols"),
    *("rabbitmq", "recording", "service", "shm", "streams", "sync", "telemetry"),
)
BARE_MODULES = ("errors", "extras", "imaging.system")

# Pydantic pins it to one version.
PARTS_OF_OTHERS = {"pydantic-core"}
OPENED_BY_CTYPES = {"bitshuffle"}

IMPORT_EACH = """
import importlib
for module in sys.argv[1:]:
    importlib.import_module(module)
"""
COMMAND = """
from std_daq.cli.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
SERVICE = """
from std_udp_recv.__main__ import main
sys.exit(main(sys.argv[1:]))
"""

RunPython = Callable[..., "subprocess.CompletedProcess[str]"]


def name_of(requirement: str) -> str:
    """Return the distribution of a requirement, as the index spells it."""
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def brought_by(distributions: set[str]) -> set[str]:
    """Return the modules that these distributions bring; their names are read from what is installed."""
    return {
        module
        for module, owners in packages_distributions().items()
        if distributions & {name_of(owner) for owner in owners} and not module.startswith("_")
    }


@pytest.fixture(scope="session")
def libraries(extras: dict[str, list[str]]) -> set[str]:
    """The modules of all libraries that extras bring."""
    return brought_by({name_of(one) for needs in extras.values() for one in needs} - {"std-daq"})


def bare_modules() -> Iterator[str]:
    for name in BARE_PACKAGES:
        for file in sorted((PROJECT / "std_daq" / name).rglob("*.py")):
            if file.name != "__main__.py":
                yield ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
    yield from (f"std_daq.{name}" for name in BARE_MODULES)
    yield from (f"{folder.name}.service" for folder in PACKAGES[1:])


def test_the_client_and_the_platform_import_no_library_of_an_extra(run_without: RunPython, libraries: set[str]) -> None:
    done = run_without(libraries, IMPORT_EACH, *bare_modules())
    assert done.returncode == 0, done.stderr


def test_the_guard_of_these_tests_hides_what_an_extra_brings(run_without: RunPython, libraries: set[str]) -> None:
    assert {"numba", "llvmlite", "h5py", "hdf5plugin", "PIL"} <= libraries
    assert "No module named 'h5py'" in run_without(libraries, IMPORT_EACH, "std_daq.imaging.files.validate").stderr


@pytest.mark.long
@pytest.mark.parametrize("name", ["udp-recv", "h5-writer"])
def test_services_explain_themselves_without_their_libraries(
    name: str, run_without: RunPython, libraries: set[str]
) -> None:
    code = f"from std_{name.replace('-', '_')}.__main__ import main\nmain(['--help'])"
    done = run_without(libraries, code)
    assert f"usage: std-{name}" in done.stdout, done.stderr


def test_command_without_its_library_says_which_extra_brings_it(
    run_without: RunPython, libraries: set[str], tmp_path: Path
) -> None:
    file = tmp_path / "x.h5"
    file.write_bytes(b"\x89HDF\r\n\x1a\n\x03")
    done = run_without(libraries, COMMAND, "validate", str(file))
    assert done.stderr == "std-daq validate: needs h5py: pip install 'std-daq[images]'\n"
    assert done.returncode == 2
    assert '{"error": "needs h5py: ' in run_without(libraries, COMMAND, "validate", "--json", str(file)).stdout


def test_service_without_its_library_says_which_extra_brings_it(
    run_without: RunPython, libraries: set[str], runtime: Path
) -> None:
    config = PROJECT / "docker" / "beamlines" / "simulated_jungfrau" / "detector.json"
    done = run_without(libraries, SERVICE, "--config", str(config))
    assert re.search(r"needs (numba|llvmlite): pip install 'std-daq\[images\]'", done.stderr), done.stderr
    assert done.returncode == 2


@pytest.mark.long
def test_every_library_of_an_extra_is_found_by_the_name_of_its_module(extras: dict[str, list[str]]) -> None:
    for extra, needs in extras.items():
        distributions = {name_of(one) for one in needs} - {"std-daq"}
        for module in brought_by(distributions) & imported_modules():
            assert extra_of(module) == extra, module


def test_module_that_no_extra_brings_stays_as_it_is() -> None:
    assert extra_of("numpy") is None
    with pytest.raises(ModuleNotFoundError), extras_explained():
        import no_such_module  # noqa: F401
    with pytest.raises(MissingExtraError, match=r"needs PIL: pip install 'std-daq\[images\]'"), extras_explained():
        raise ModuleNotFoundError(name="PIL.Image")


def imported_modules() -> set[str]:
    """Return the top-level modules that the package and its services import anywhere."""
    found = set()
    for file in (file for package in PACKAGES for file in package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found


@pytest.mark.long
def test_what_is_imported_is_declared_and_what_is_declared_is_imported(extras: dict[str, list[str]]) -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    needs = [*project["dependencies"], *(one for needs in extras.values() for one in needs)]
    declared = {name_of(one) for one in needs} - {"std-daq"}
    owners = packages_distributions()
    foreign = imported_modules() - set(sys.stdlib_module_names) - {package.name for package in PACKAGES}
    # A distribution that consists of one compiled module is not found by the names of its files.
    imported = {name_of(owner) for module in foreign for owner in owners.get(module, [module])}
    assert imported - PARTS_OF_OTHERS == declared - OPENED_BY_CTYPES
