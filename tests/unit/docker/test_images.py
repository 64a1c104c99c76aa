"""What keeps the images in step with the project; that they work is for tests/system."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from std_daq.service.healthcheck import TIMEOUT_S

PROJECT = Path(__file__).parents[3]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
SERVICES = sorted(page.parent.name for page in (PROJECT / "services").glob("*/README.md"))
DOCKERFILE = "".join((PROJECT / "docker" / name).read_text() for name in ("Dockerfile", "Dockerfile.view3d"))
STAGES = dict(re.findall(r"^FROM (?:\S+) AS (\S+)\n((?:.+\n?)*)", DOCKERFILE, re.MULTILINE))

_IMAGES = ("images", "live", "photons", "root", "tpc")
EXTRAS_OF_LOCKS = {
    "docker/requirements.txt": _IMAGES,
    "docker/requirements-gpu.txt": (*_IMAGES, "cuda"),
    "constraints-use.txt": (*_IMAGES, "plot", "build"),
}


def lines_of_lock(file: str) -> dict[str, set[str]]:
    """Return the hashes of each pinned distribution."""
    blocks = re.split(r"\n(?=\S)", (PROJECT / file).read_text().strip())
    return {block.split()[0]: set(re.findall(r"sha256:\w+", block)) for block in blocks}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_one_name_in_folder_package_command_and_image(service: str) -> None:
    name = service.replace("_", "-")
    (entry,) = entry_points(group="std_daq.services", name=name)
    description = entry.load()
    assert (description.name, description.package, description.command) == (name, f"std_{service}", f"std-{name}")
    (command,) = entry_points(group="console_scripts", name=description.command)
    assert command.value == f"std_{service}.__main__:main"


def test_every_service_that_is_installed_has_its_folder() -> None:
    assert {entry.name.replace("-", "_") for entry in entry_points(group="std_daq.services")} == set(SERVICES)


def test_every_service_in_the_wheels_becomes_a_target(tmp_path: Path) -> None:
    for package, names in (
        ("std_daq", ("udp-recv", "event-view")),
        ("std_daq_site", ("site-monitor",)),
        ("std_tile", ()),
    ):
        with zipfile.ZipFile(tmp_path / f"{package}-1-py3-none-any.whl", "w") as wheel:
            lines = [f"{name} = {package}.service:SERVICE" for name in names]
            entries = "\n".join(["[std_daq.services]" if names else "[std_daq.detectors]", *lines, ""])
            wheel.writestr(f"{package}-1.dist-info/entry_points.txt", entries)
    assert service_targets(tmp_path, "--names").split() == ["site-monitor", "udp-recv"]
    assert service_targets(tmp_path, "--names", "--view3d").split() == ["event-view"]
    targets, with_view3d = service_targets(tmp_path), service_targets(tmp_path, "--view3d")
    assert 'FROM service AS site-monitor\nENTRYPOINT ["std-site-monitor"]\n' in targets
    assert with_view3d == '\nFROM service-with-view3d AS event-view\nENTRYPOINT ["std-event-view"]\n'
    assert {"service", "service-with-view3d"} <= set(STAGES)


def service_targets(folder: Path, *options: str) -> str:
    """Return what docker/service-targets prints."""
    command = [sys.executable, str(PROJECT / "docker" / "service-targets"), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_no_command_runs_as_root_and_no_stage_after_that_becomes_root_again() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["1000:1000"]
    assert "USER 1000:1000" in STAGES["runtime"]


@pytest.mark.parametrize("file", [*EXTRAS_OF_LOCKS, "docker/requirements-view3d.txt", "docker/requirements-build.txt"])
def test_images_and_demo_have_the_versions_that_are_tested(file: str) -> None:
    tested = lines_of_lock("constraints.txt")
    for distribution, hashes in lines_of_lock(file).items():
        assert hashes, distribution
        assert hashes == tested[distribution], distribution


@pytest.mark.parametrize("file", EXTRAS_OF_LOCKS)
def test_images_and_demo_have_every_dependency(file: str) -> None:
    locked = names_of_lock(file)
    project = PYPROJECT["project"]
    lines = project["dependencies"] + [
        line for extra in EXTRAS_OF_LOCKS[file] for line in project["optional-dependencies"][extra]
    ]
    needed = {re.match(r"[\w-]+", line)[0] for line in lines} - {"std-daq"}  # type: ignore[index]
    assert needed <= locked


@pytest.mark.parametrize("dockerfile", ["docker/Dockerfile", "docker/rabbitmq/Dockerfile"])
def test_an_engine_has_time_to_start_a_check_on_a_loaded_machine_and_hears_the_reason(dockerfile: str) -> None:
    (limit_s,) = re.findall(r"^HEALTHCHECK .*--timeout=(\d+)s", (PROJECT / dockerfile).read_text(), re.MULTILINE)
    assert int(limit_s) >= 10
    assert int(limit_s) > TIMEOUT_S


def test_workers_on_gpus_are_those_of_the_farm_with_another_image_and_a_gpu() -> None:
    farm, gpu = (
        yaml.safe_load((PROJECT / "docker" / "farm" / name).read_text()) for name in ("compose.yaml", "gpu.yaml")
    )
    assert set(gpu) == {"services"}
    assert set(gpu["services"]) == {"worker"} <= set(farm["services"])
    worker = gpu["services"]["worker"]
    assert set(worker) == {"image", "deploy"}
    assert worker["image"] == farm["services"]["worker"]["image"].replace("sim-worker", "sim-worker-gpu")
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_image_with_rerun_has_what_it_needs_besides_and_nothing_twice() -> None:
    others, besides = (names_of_lock(f"docker/requirements{one}.txt") for one in ("", "-view3d"))
    assert not others & besides
    wanted, known = ["rerun-sdk"], set[str]()
    while wanted:
        name = wanted.pop()
        if name in known:
            continue
        known.add(name)
        needed = [Requirement(line) for line in requires(name) or ()]
        wanted += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    assert {canonicalize_name(name) for name in known} <= others | besides


def names_of_lock(file: str) -> set[str]:
    """Return the names of the pinned distributions."""
    return {line.partition("==")[0] for line in lines_of_lock(file)}


def test_images_for_gpus_have_what_the_others_have_and_the_libraries_of_cuda() -> None:
    others, gpus = lines_of_lock("docker/requirements.txt"), lines_of_lock("docker/requirements-gpu.txt")
    assert others.items() <= gpus.items()
    added = {line.partition("==")[0] for line in set(gpus) - set(others)}
    assert "numba-cuda" in added
    assert all(name.startswith(("cuda-", "nvidia-", "numba-cuda")) for name in added)
