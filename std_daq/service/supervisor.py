"""Supervisor: starts the services of one machine, restarts a service that dies, and ends all services."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from std_daq.config.platform import PlatformConfig
from std_daq.errors import ResourceError
from std_daq.service.end_with_supervisor import SUPERVISOR_VARIABLE
from std_daq.service.healthcheck import PORT_VARIABLE
from std_daq.service.hold import VARIABLE as HOLD_VARIABLE
from std_daq.service.record import ServiceRecord, read_records
from std_daq.telemetry.logs import get_logger
from std_daq.telemetry.unix_http import UnixConnection

STOP_DEADLINE_S = 10.0
_FIRST_PAUSE_S = 0.2
_MAX_PAUSE_S = 5.0
_STEADY_AFTER_S = 10.0
_ANSWER_TIMEOUT_S = 2.0
# A container sets these for its only service. Several services cannot share one port, and a supervised service that
# cannot start must end.
_NOT_PASSED_ON = (PORT_VARIABLE, HOLD_VARIABLE)


@dataclass(frozen=True, slots=True)
class ServiceCommand:
    """The command that starts a service: the name of the instance, the Python module and its arguments."""

    instance: str
    module: str
    arguments: tuple[str, ...]


class ServiceFailedError(ResourceError):
    """A service ended before all services were ready; its exit code becomes that of the supervisor."""

    def __init__(self, instance: str, exit_code: int, reason: str) -> None:
        super().__init__(f"{instance} ended with exit code {exit_code} before it was ready: {reason}")
        self.exit_code = exit_code if exit_code > 0 else 1


class Supervisor:
    """Runs each service as a process.

    Until all services have been ready once, a service that ends is an error. After that it is restarted: at once if it
    had run for a while, otherwise after a pause that doubles each time the service ends again soon, up to a limit.

    Parameters
    ----------
    config
        Configuration of the system, which gives the directory of the service records.
    commands
        The services.
    write_line
        Called with the instance name and each line that a service prints.
    environment
        Variables added to the environment of the services.
    """

    def __init__(
        self,
        config: PlatformConfig,
        commands: Sequence[ServiceCommand],
        write_line: Callable[[str, str], None],
        environment: Mapping[str, str],
    ) -> None:
        self._config = config
        self._write_line = write_line
        self._environment = dict(environment)
        self._children = [self._child(command) for command in commands]
        self._has_been_ready = False
        self._log = get_logger()

    def start(self) -> None:
        """Start all services."""
        for child in self._children:
            child.start()

    def step(self) -> None:
        """Restart the services that have ended.

        Raises
        ------
        ServiceFailedError
            A service ended before all services were ready.
        """
        for child in self._children:
            exit_code = child.poll()
            if exit_code is None:
                continue
            if not self._has_been_ready:
                raise ServiceFailedError(child.command.instance, exit_code, child.last_error())
            if child.is_time_to_restart():
                self._log.warning("service_restarted", instance=child.command.instance, ended_with=exit_code)
                child.start()

    def not_ready(self) -> list[str]:
        """Return the services that are not ready; from the first time that all are ready, `step` restarts services."""
        records = {record.instance: record for record in read_records(self._config)}
        instances = [child.command.instance for child in self._children]
        not_ready = [instance for instance in instances if not _is_ready(records.get(instance))]
        self._has_been_ready |= not not_ready
        return not_ready

    def take(self, commands: Sequence[ServiceCommand]) -> None:
        """Run other services: end those that are not among them, start those that are new, and leave the others."""
        unwanted = [child for child in self._children if child.command not in commands]
        self._children = [child for child in self._children if child not in unwanted]
        self._end(unwanted)
        known = {child.command for child in self._children}
        for command in commands:
            if command not in known:
                self._log.info("service_added", instance=command.instance)
                child = self._child(command)
                self._children.append(child)
                child.start()

    def stop(self) -> None:
        """End all services: send SIGTERM, wait until the deadline, then send SIGKILL."""
        self._end(self._children)

    def _child(self, command: ServiceCommand) -> "_Child":
        return _Child(command, self._write_line, self._environment)

    def _end(self, children: "Sequence[_Child]") -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_DEADLINE_S
        for child in children:
            if not child.wait(max(0.0, deadline - time.monotonic())):
                self._log.warning("service_killed", instance=child.command.instance, after_s=STOP_DEADLINE_S)
                child.signal(signal.SIGKILL)
                child.wait(STOP_DEADLINE_S)


class _Child:
    def __init__(
        self, command: ServiceCommand, write_line: Callable[[str, str], None], environment: dict[str, str]
    ) -> None:
        self.command = command
        self._write_line = write_line
        self._environment = environment
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._started_s = 0.0
        self._ended_s: float | None = None
        self._pause_s = 0.0
        self._last_error = ""

    def start(self) -> None:
        inherited = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.command.module, *self.command.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=inherited | self._environment | {SUPERVISOR_VARIABLE: str(os.getpid())},
            # In a session of their own, services do not get the SIGINT of Ctrl-C: only the supervisor ends them.
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._forward, args=(self._process,), daemon=True)
        self._reader.start()
        self._started_s = time.monotonic()
        self._ended_s = None

    def poll(self) -> int | None:
        assert self._process is not None, "poll comes after start"  # noqa: S101
        exit_code = self._process.poll()
        if exit_code is not None and self._ended_s is None:
            self._ended_s = time.monotonic()
            was_steady = self._ended_s - self._started_s > _STEADY_AFTER_S
            self._pause_s = 0.0 if was_steady else min(_MAX_PAUSE_S, max(_FIRST_PAUSE_S, 2 * self._pause_s))
        return exit_code

    def last_error(self) -> str:
        """Return the last error that the service logged before it ended."""
        if self._reader is not None:
            self._reader.join(1.0)
        return self._last_error or "it logged no error; see the lines above"

    def is_time_to_restart(self) -> bool:
        return self._ended_s is not None and time.monotonic() >= self._ended_s + self._pause_s

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def wait(self, timeout_s: float) -> bool:
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        if self._reader is not None:
            self._reader.join(1.0)
        return True

    def _forward(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None, "started with a pipe"  # noqa: S101
        with process.stdout as lines:
            for line in lines:
                self._last_error = _error_in(line) or self._last_error
                self._write_line(self.command.instance, line.rstrip("\n"))


def _error_in(line: str) -> str:
    """Return the error in a log line, or an empty text if the line is not an error."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(event, dict) or event.get("level") != "error":
        return ""
    trace = str(event.get("exception", "")).strip().splitlines()
    return str(event.get("error") or (trace[-1] if trace else event.get("event", "")))


def _is_ready(record: ServiceRecord | None) -> bool:
    if record is None:
        return False
    connection = UnixConnection(record.socket, _ANSWER_TIMEOUT_S)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        answer.read()
        return answer.status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
