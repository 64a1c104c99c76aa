"""Containers of a Docker engine, by the command that users have."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from std_test_kit.wait import wait_until

PROJECT = Path(__file__).parents[3]
COMMAND_TIMEOUT_S = 60.0
PROBE_TIMEOUT_S = 10.0


class EngineError(Exception):
    """The engine, or a container, did not do what it was told; the text is what it said."""


def run_command(
    *command: str, timeout_s: float = COMMAND_TIMEOUT_S, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command to its end; returns its standard output, raises EngineError with what it said.

    Parameters
    ----------
    command
        The program and its arguments.
    timeout_s
        The longest wait; subprocess.TimeoutExpired is raised after it.
    environment
        Variables over those of this process.
    """
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, **(environment or {})},
    )
    if ended.returncode != 0:
        raise EngineError(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def docker(*arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
    """Run a ``docker`` command; returns its standard output, raises EngineError."""
    return run_command("docker", *arguments, timeout_s=timeout_s)


def image_tag() -> str:
    """Return the tag of the images that this checkout makes."""
    return run_command(str(PROJECT / "docker" / "image-tag")).strip()


def why_no_engine() -> str | None:
    """Return why no container can be started here; None where one can."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        docker("version", timeout_s=PROBE_TIMEOUT_S)
    except (EngineError, subprocess.TimeoutExpired) as error:
        return f"no engine answers: {str(error).strip().splitlines()[-1]}"
    return None


def inspect(kind: str, name: str) -> dict[str, Any]:
    """Return what the engine knows of a ``container``, an ``image``, a ``network`` or a ``volume``."""
    found: list[dict[str, Any]] = json.loads(docker(kind, "inspect", name))
    return found[0]


@dataclass(frozen=True, slots=True)
class Health:
    """What the health check of a container says: its status, and its last words."""

    status: str
    words: str


class Container:
    """One container.

    Parameters
    ----------
    container_id
        Its id, or its name.
    """

    def __init__(self, container_id: str) -> None:
        self.id = container_id

    def inspect(self) -> dict[str, Any]:
        """Return what the engine knows."""
        return inspect("container", self.id)

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return bool(self.inspect()["State"]["Running"])

    @property
    def pid(self) -> int:
        """The process, as the host knows it; 0 where it does not run."""
        return int(self.inspect()["State"]["Pid"])

    @property
    def n_restarts(self) -> int:
        """How many times the engine has started it again."""
        return int(self.inspect()["RestartCount"])

    @property
    def health(self) -> Health:
        """The last health check."""
        health = self.inspect()["State"].get("Health", {})
        log = health.get("Log") or [{"Output": ""}]
        return Health(health.get("Status", "none"), log[-1]["Output"].strip())

    @property
    def logs(self) -> str:
        """What it has printed."""
        ended = subprocess.run(
            ["docker", "logs", self.id],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return ended.stdout

    def execute(self, *command: str, timeout_s: float = COMMAND_TIMEOUT_S) -> str:
        """Run a command in it; returns its standard output, raises EngineError."""
        return docker("exec", self.id, *command, timeout_s=timeout_s)

    def wait_for_health(self, is_wanted: Callable[[Health], bool], timeout_s: float = COMMAND_TIMEOUT_S) -> Health:
        """Wait until the health check says what is wanted; returns it, raises TimeoutError."""
        wait_until(
            lambda: is_wanted(self.health), timeout_s, lambda: f"the health of {self.id} is {self.health}\n{self.logs}"
        )
        return self.health
