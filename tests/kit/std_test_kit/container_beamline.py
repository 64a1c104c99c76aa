"""ContainerBeamline: a beamline in containers, used by the command that users have."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

from std_daq.imaging.config.load import load_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.recording.requests import Action
from std_daq.recording.status_channel import StatusListener
from std_test_kit.beamline import wait_accepted, wait_for_action
from std_test_kit.engine import PROJECT, Container, docker, run_command
from std_test_kit.free_ports import free_tcp_port
from std_test_kit.wait import wait_until

COMMAND = PROJECT / "docker" / "beamline"
CONFIGURATIONS = Path("/etc/std-daq")  # in the containers
UP_TIMEOUT_S = 180
CONNECT_TIMEOUT_S = 10.0
DOWN_TIMEOUT_S = 90.0
ANSWER_TIMEOUT_S = 20.0
LABEL = "com.docker.compose.project"


def _be_patient(configuration: Path) -> None:
    """Let the simulated sender of a detector stop within an image, as it does where other containers have its core."""
    document = json.loads(configuration.read_text())
    if "start_udp_port" in document:
        document["udp"] = {**document.get("udp", {}), "idle_flush_s": 3.0, "module_timeout_s": 3.0}
        configuration.write_text(json.dumps(document, indent=2))


class ContainerBeamline:
    """``docker/beamline`` for a copy of a beamline's folder; a context manager, after which nothing is left.

    Parameters
    ----------
    name
        A folder of ``docker/beamlines``.
    folder
        Where to copy it, and where files are written, in ``data``.
    user_id
        Whom the files are to belong to, as user and as group.
    settings
        Variables of the ``.env`` to change.
    configuration
        Name of the configuration in the folder.

    Attributes
    ----------
    project
        Compose's name for it.
    user_id
        Whom the files belong to.
    data
        The folder that is ``/data`` in the containers.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        user_id: int,
        settings: Mapping[str, str] | None = None,
        configuration: str = "detector.json",
    ) -> None:
        beamlines = folder / "beamlines"
        shutil.copytree(
            PROJECT / "docker" / "beamlines", beamlines, ignore=shutil.ignore_patterns(".env", "secrets", "data")
        )
        self.folder = beamlines / name
        if (self.folder / configuration).exists():
            _be_patient(self.folder / configuration)
        self.data = folder / "data"
        self.user_id = user_id
        self._configuration = configuration
        self.project = f"std-daq-test-{os.getpid()}-{folder.name.lower()}"
        self._amqp_port = free_tcp_port()
        self._settings = {
            "COMPOSE_PROJECT_NAME": self.project,
            "AMQP_PORT": str(self._amqp_port),
            "LIVE_PORT": str(free_tcp_port()),
            "WEB_PORT": str(free_tcp_port()),
            "FAR_WEB_PORT": str(free_tcp_port()),
            "DAQ_UID": str(user_id),
            "DAQ_GID": str(user_id),
            "DATA_DIR": str(self.data),
            **(settings or {}),
        }

    def __enter__(self) -> Self:
        self.command("init", "--data", str(self.data))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            sys.stderr.write(self.logs())
        self.command("down", timeout_s=DOWN_TIMEOUT_S)
        left = self.leftovers()
        assert not left, f"left behind: {left}"

    def up(self, timeout_s: int = UP_TIMEOUT_S) -> None:
        """Start everything, and wait until all of it is healthy; raises EngineError with what is not."""
        self.command("up", "--timeout-s", str(timeout_s), timeout_s=2 * timeout_s)

    def logs(self, n_lines: int = 25) -> str:
        """Return health and last lines of all containers."""
        parts = [
            f"---- {service}: {container.health}\n" + "\n".join(container.logs.splitlines()[-n_lines:])
            for service, container in self.containers().items()
        ]
        return "\n".join([*parts, ""])

    def command(self, name: str, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run ``docker/beamline`` for this beamline; returns its standard output, raises EngineError."""
        return run_command(
            str(COMMAND), name, str(self.folder), *arguments, timeout_s=timeout_s, environment=self._settings
        )

    def start(self, *command: str, service: str = "tools") -> "subprocess.Popen[str]":
        """Start a command in a container, by default in that for the commands of users."""
        return subprocess.Popen(
            [str(COMMAND), "compose", str(self.folder), "exec", "-T", service, *command],
            env={**os.environ, **self._settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def std_daq(self, name: str, *arguments: str, timeout_s: float = 60.0) -> str:
        """Run a ``std-daq`` command for this detector; returns its standard output, raises EngineError."""
        configuration = str(CONFIGURATIONS / self._configuration)
        return self.command("exec", "std-daq", name, "--config", configuration, *arguments, timeout_s=timeout_s)

    def containers(self) -> dict[str, Container]:
        """Return the containers by service."""
        label = '{{.ID}} {{.Label "com.docker.compose.service"}}'
        lines = docker("ps", "--all", "--filter", f"label={LABEL}={self.project}", "--format", label).splitlines()
        return {service: Container(container_id) for container_id, service in map(str.split, sorted(lines))}

    def container(self, service: str) -> Container:
        """Return the container of a service."""
        return self.containers()[service]

    def leftovers(self) -> list[str]:
        """Return the containers, networks and volumes that belong to it."""
        found = []
        for kind, options in (("container", ["--all"]), ("network", []), ("volume", [])):
            names = docker(kind, "ls", *options, "--quiet", "--filter", f"label={LABEL}={self.project}").split()
            found += [f"{kind} {name}" for name in names]
        return found

    @property
    def config(self) -> DetectorConfig:
        """The configuration of its detector."""
        return load_config(self.folder / self._configuration)

    def broker_url_file(self, user: str) -> Path:
        """Return the file with the URL of the broker for one of its users on this machine."""
        return self.folder / "secrets" / f"{user}.local.url"

    def console(self, path: str = "", *, port: str = "WEB_PORT", token_file: str | None = None) -> Any:
        """Ask a console for what is below its detector, from this machine; returns the document.

        Parameters
        ----------
        path
            Such as ``/status``.
        port
            Variable of the ``.env`` that has its port.
        token_file
            A file in `secrets`; with it the request is a POST, which needs a token.

        Raises
        ------
        HTTPError
            The console refuses.
        """
        url = f"http://127.0.0.1:{self._settings[port]}/api/v1/detectors"
        with urlopen(url, timeout=ANSWER_TIMEOUT_S) as answer:
            (detector,) = json.load(answer)
        request = Request(f"{url}/{detector['name']}{path}", data=None if token_file is None else b"{}")
        if token_file is not None:
            token = (self.folder / "secrets" / token_file).read_text().strip()
            request.add_header("Authorization", f"Bearer {token}")
            request.add_header("Content-Type", "application/json")
        with urlopen(request, timeout=ANSWER_TIMEOUT_S) as answer:
            return json.load(answer)

    def wait_for_console(self, services: Iterable[str], *, port: str = "WEB_PORT", timeout_s: float = 60.0) -> Any:
        """Wait until a console tells that these services answer and are ready, and no others; returns their state."""

        def is_told() -> bool:
            told = self.console("/status", port=port)
            return {one["instance"] for one in told["services"] if one["is_ready"]} == set(services)

        wait_until(is_told, timeout_s, lambda: json.dumps(self.console("/status", port=port), indent=1))
        return self.console("/status", port=port)

    def record(
        self,
        name: str,
        write: Sequence[str],
        send: Sequence[str] | None,
        fault: Callable[[], None] = lambda: None,
        *,
        tools: str = "tools",
        timeout_s: float = 90.0,
    ) -> tuple[int, dict[str, Any]]:
        """Have a run written to a file in `data` while data are sent; returns exit code and report of ``write``.

        Parameters
        ----------
        name
            Of the file.
        write, send
            More arguments of ``write`` and of ``simulate``; without the latter, somebody else sends.
        fault
            Called when the run has started.
        tools
            The container from which the request comes.
        timeout_s
            For each of both.
        """
        file = Path("/data") / name
        url = self.broker_url_file("listener").read_text().strip()
        with StatusListener(url) as listener, ExitStack() as started:
            listener.connection.wait_connected(CONNECT_TIMEOUT_S)
            writing = self._start(started, tools, "write", "--json", "--output-file", str(file), *write)
            request_id = wait_accepted(listener, file)
            sending = None if send is None else self._start(started, "tools", "simulate", *send)
            wait_for_action(listener, request_id, Action.START)
            fault()
            if sending is not None:
                _, err = sending.communicate(timeout=timeout_s)
                if sending.returncode != 0:
                    raise RuntimeError(f"simulate ended with {sending.returncode}:\n{err}")
            out, err = writing.communicate(timeout=timeout_s)
        if not out:
            raise RuntimeError(f"write ended with {writing.returncode} and no report:\n{err}")
        return writing.returncode, json.loads(out)

    def _start(self, stack: ExitStack, service: str, name: str, *arguments: str) -> "subprocess.Popen[str]":
        """Start a ``std-daq`` command; it is killed when the stack closes, if it runs then."""
        command = ("std-daq", name, "--config", str(CONFIGURATIONS / self._configuration), *arguments)
        process = stack.enter_context(self.start(*command, service=service))
        stack.callback(process.kill)
        return process
