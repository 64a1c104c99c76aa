"""What every image has to keep, whatever runs it."""

import json
import re
import subprocess
from collections.abc import Sequence

import pytest

from std_test_kit.engine import PROJECT, docker, inspect

HARDENED = (
    *("--rm", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--network", "none"),
)
ANY_USER = "12345:23456"
SECRET = re.compile(r"(?i)passw|secret_?key|token|private key|amqps?://[^ ]*:[^ ]*@")
pytestmark = pytest.mark.timeout(120)


def command_of(target: str) -> str:
    return "std-daq" if target == "tools" else f"std-{target}"


def run(image: str, *arguments: str, options: Sequence[str] = ()) -> str:
    """Run a command of an image as a user whom nobody knows, with no rights at all."""
    return docker("run", *HARDENED, "--user", ANY_USER, *options, image, *arguments).strip()


def version() -> str:
    """Return the version of the wheel that the images are made from."""
    (wheel,) = PROJECT.glob("docker/.build/wheels/packages/std_daq-*.whl")
    return wheel.name.split("-")[1]


def test_commands_run_as_any_user_without_capabilities_on_a_read_only_root(images: dict[str, str]) -> None:
    for target, image in images.items():
        assert run(image, "--version") == f"{command_of(target)} {version()}"


def test_the_command_of_users_is_in_every_image(images: dict[str, str]) -> None:
    for image in images.values():
        assert run(image, "--version", options=["--entrypoint", "std-daq"]) == f"std-daq {version()}"


def test_images_are_not_root_and_name_their_command_and_health_check(images: dict[str, str]) -> None:
    for target, image in images.items():
        config = inspect("image", image)["Config"]
        assert int(config["User"].split(":")[0]) > 0
        assert config["Entrypoint"] == [command_of(target)]
        if target != "tools":
            assert "STD_DAQ_CONFIG=/etc/std-daq/detector.json" in config["Env"]
            assert "std_daq.service.healthcheck" in config["Healthcheck"]["Test"]


def test_no_secret_is_in_the_layers_environment_or_labels_of_an_image(images: dict[str, str]) -> None:
    for image in images.values():
        config = inspect("image", image)["Config"]
        history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
        assert not SECRET.search(history), history
        assert not SECRET.search(json.dumps([config["Env"], config["Labels"]]))


def test_services_share_all_layers_but_their_own_settings(images: dict[str, str]) -> None:
    layers = {target: inspect("image", name)["RootFS"]["Layers"] for target, name in images.items()}
    common = min(layers.values(), key=len)
    for target, of_image in layers.items():
        assert of_image[: len(common)] == common, target


def test_no_program_of_an_image_gives_rights_to_whoever_runs_it(images: dict[str, str]) -> None:
    found = docker(
        *("run", *HARDENED, "--user", "0:0", "--entrypoint", "find", images["tools"]),
        *("/", "-xdev", "-perm", "/6000", "-type", "f"),
    )
    assert found.split() == []


def test_service_without_configuration_says_which_file_is_missing(images: dict[str, str]) -> None:
    command = ["docker", "run", *HARDENED, "--user", ANY_USER, "--tmpfs", "/run/std-daq", images["assembler"]]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
    assert "/etc/std-daq/detector.json" in line
