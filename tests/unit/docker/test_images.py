"""What keeps the images in step with the project; that they work is for tests/system."""

import re
import tomllib
from pathlib import Path

import pytest

from std_daq.service.healthcheck import TIMEOUT_S

PROJECT = Path(__file__).parents[3]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
SERVICES = sorted(folder.name for folder in (PROJECT / "services").iterdir() if (folder / "README.md").is_file())
DOCKERFILE = (PROJECT / "docker" / "Dockerfile").read_text()
STAGES = dict(re.findall(r"^FROM (?:\S+) AS (\S+)\n((?:.+\n?)*)", DOCKERFILE, re.MULTILINE))


def lines_of_lock(file: str) -> dict[str, set[str]]:
    """Return the hashes of each pinned distribution."""
    blocks = re.split(r"\n(?=\S)", (PROJECT / file).read_text().strip())
    return {block.split()[0]: set(re.findall(r"sha256:\w+", block)) for block in blocks}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_one_name_in_folder_package_command_and_image(service: str) -> None:
    target = service.replace("_", "-")
    assert PYPROJECT["project"]["scripts"][f"std-{target}"] == f"std_{service}.__main__:main"
    assert f"services/{service}/std_{service}" in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert STAGES[target].splitlines() == [
        f'ENTRYPOINT ["std-{target}"]',
        'CMD ["--config", "/etc/std-daq/detector.json"]',
    ]


def test_every_target_on_the_layer_of_services_is_a_service() -> None:
    targets = re.findall(r"^FROM service AS (\S+)$", DOCKERFILE, re.MULTILINE)
    assert sorted(targets) == sorted(service.replace("_", "-") for service in SERVICES)


def test_no_command_runs_as_root_and_no_stage_after_that_becomes_root_again() -> None:
    assert re.findall(r"^USER (.+)$", DOCKERFILE, re.MULTILINE) == ["1000:1000"]
    assert "USER 1000:1000" in STAGES["runtime"]


@pytest.mark.parametrize("file", ["docker/requirements.txt", "docker/requirements-build.txt"])
def test_images_have_the_versions_that_are_tested(file: str) -> None:
    tested = lines_of_lock("constraints.txt")
    for distribution, hashes in lines_of_lock(file).items():
        assert hashes, distribution
        assert hashes == tested[distribution], distribution


def test_images_have_every_dependency() -> None:
    locked = {line.partition("==")[0] for line in lines_of_lock("docker/requirements.txt")}
    needed = {re.match(r"[\w-]+", line)[0] for line in PYPROJECT["project"]["dependencies"]}  # type: ignore[index]
    assert needed <= locked


@pytest.mark.parametrize("dockerfile", ["docker/Dockerfile", "docker/rabbitmq/Dockerfile"])
def test_an_engine_has_time_to_start_a_check_on_a_loaded_machine_and_hears_the_reason(dockerfile: str) -> None:
    (limit_s,) = re.findall(r"^HEALTHCHECK .*--timeout=(\d+)s", (PROJECT / dockerfile).read_text(), re.MULTILINE)
    assert int(limit_s) >= 10
    assert int(limit_s) > TIMEOUT_S
