from pathlib import Path

import pytest

from std_test_kit.broker_container import IMAGES, find_image


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A command ``docker`` that the test writes, the only command there is."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "docker"


def write(docker: Path, script: str) -> None:
    docker.write_text(f"#!/bin/sh\n{script}\n")
    docker.chmod(0o755)


def test_image_that_the_engine_has_is_found_and_ours_goes_first(docker: Path) -> None:
    write(docker, f"echo {IMAGES[1]}; echo other:1; echo {IMAGES[0]}")
    assert find_image() == IMAGES[0]
    write(docker, f"echo other:1; echo {IMAGES[1]}")
    assert find_image() == IMAGES[1]


def test_without_engine_or_image_none_is_found(docker: Path) -> None:
    assert find_image() is None, "no command"
    write(docker, "echo Cannot connect to the Docker daemon >&2; exit 1")
    assert find_image() is None, "no engine"
    write(docker, "echo std-daq/rabbitmq:0.0.0-other")
    assert find_image() is None, "no image"
