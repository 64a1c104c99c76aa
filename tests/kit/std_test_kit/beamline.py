"""Beamline: all services of a detector as real processes, used by the commands that users have."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from std_daq.amqp.address import VARIABLE
from std_daq.config.system import load_any_config
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.recording.requests import Action, StatusMessage
from std_daq.recording.status_channel import StatusListener
from std_daq.service.record import ServiceRecord, read_records
from std_test_kit.wait import wait_until

READY_TIMEOUT_S = 180.0  # the first of a configuration compiles the receive loop
STOP_TIMEOUT_S = 30.0


class Command:
    """A ``std-daq`` command that runs; ends with its context."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "std_daq.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | (environment or {}),
        )

    def finish(self, timeout_s: float = 60.0) -> tuple[int, str, str]:
        """Wait for its end; returns exit code, standard output and standard error."""
        try:
            out, err = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise TimeoutError(f"{self.process.args!r} did not end in {timeout_s} s:\n{out}\n{err}") from None
        return self.process.returncode, out, err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def wait_accepted(listener: StatusListener, file: Path, timeout_s: float = 20.0) -> str:
    """Wait until the request for a file is accepted; returns its id."""
    return _wait_for_status(
        listener,
        lambda status: status.action is Action.ACCEPTED and str(file) in str(status.body),
        f"the request for {file} was not accepted",
        timeout_s,
    ).request_id


def wait_written(listener: StatusListener, request_id: str, n_written: int, timeout_s: float = 20.0) -> None:
    """Wait until the agent tells that so many images or events of a request are written."""
    _wait_for_status(
        listener,
        lambda status: status.request_id == request_id and status.details.get("n_written") == n_written,
        f"nobody told of {n_written} written ones of request {request_id}",
        timeout_s,
    )


def wait_for_action(listener: StatusListener, request_id: str, action: Action, timeout_s: float = 60.0) -> None:
    """Wait until a status of a request tells of an action."""
    _wait_for_status(
        listener,
        lambda status: (status.request_id, status.action) == (request_id, action),
        f"no {action} of request {request_id}",
        timeout_s,
    )


def _wait_for_status(
    listener: StatusListener, is_it: Callable[[StatusMessage], bool], otherwise: str, timeout_s: float
) -> StatusMessage:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        status = listener.receive(0.5)
        if status is not None and is_it(status):
            return status
    raise TimeoutError(f"{otherwise} within {timeout_s} s")


class Beamline:
    """``std-daq up`` and what a user does with it; a context manager.

    Parameters
    ----------
    folder
        For the configuration and the files.
    broker_url
        The RabbitMQ to use.
    config
        The document of the configuration.
    file_name
        Name of the file of the configuration.
    options
        Further options of ``std-daq up``.
    """

    def __init__(
        self,
        folder: Path,
        broker_url: str,
        config: dict[str, Any],
        file_name: str = "detector.json",
        options: Sequence[str] = (),
    ) -> None:
        self._options = tuple(options)
        self.folder = folder
        self.config_file = folder / file_name
        self.config_file.write_text(json.dumps(config))
        self.config: Any = load_any_config(self.config_file)
        self.broker_url = broker_url
        self._environment = {VARIABLE: broker_url}
        self._up: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        self._reader: threading.Thread | None = None

    @property
    def log(self) -> str:
        """What the services have printed so far."""
        return "".join(self._log)

    def __enter__(self) -> Self:
        self._up = subprocess.Popen(
            [sys.executable, "-m", "std_daq.cli", "up", "--config", str(self.config_file), *self._options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | self._environment,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._up,))
        self._reader.start()
        assert self._up.stdout is not None
        timer = threading.Timer(READY_TIMEOUT_S, self._up.terminate)
        timer.start()
        line = self._up.stdout.readline()
        timer.cancel()
        timer.join()
        if line != "ready\n":
            self.__exit__(None, None, None)
            raise RuntimeError(f"the services did not become ready: {line!r}\n{self.log}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._up is not None
        assert self._reader is not None
        self._up.send_signal(signal.SIGINT)
        try:
            self._up.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._up.kill()
            self._up.wait()
            raise
        finally:
            self._reader.join(5.0)
            if self._up.stdout is not None:
                self._up.stdout.close()
            if kind is not None:
                sys.stderr.write(self.log)

    def start(self, *arguments: str) -> Command:
        """Start a ``std-daq`` command for this detector."""
        name, *more = arguments
        return Command(name, "--config", str(self.config_file), *more, environment=self._environment)

    def run(self, *arguments: str, timeout_s: float = 60.0) -> tuple[int, str, str]:
        """Run a ``std-daq`` command for this detector to its end."""
        with self.start(*arguments) as command:
            return command.finish(timeout_s)

    def write(self, file: Path, *arguments: str) -> Command:
        """Start ``std-daq write --json``."""
        return self.start("write", "--json", "--output-file", str(file), *arguments)

    def record(
        self,
        file: Path,
        write: Sequence[str],
        send: Sequence[str],
        timeout_s: float = 60.0,
        and_then: Callable[[], None] = lambda: None,
    ) -> tuple[int, dict[str, Any]]:
        """Have a run written while packets are sent; returns the exit code and the report of ``write``.

        Parameters
        ----------
        file
            The output file.
        write, send
            More arguments of ``write``, and the command that sends, as ``["simulate", ...]``.
        timeout_s
            For each of both.
        and_then
            Called when all is sent.
        """
        with StatusListener(self._environment[VARIABLE]) as listener:
            listener.connection.wait_connected(10.0)
            with self.write(file, *write) as writing:
                wait_accepted(listener, file)
                self._send(send, timeout_s)
                and_then()
                exit_code, out, err = writing.finish(timeout_s)
        if not out:
            raise RuntimeError(f"write ended with {exit_code} and no report:\n{err}")
        return exit_code, json.loads(out)

    def _send(self, command: Sequence[str], timeout_s: float) -> None:
        exit_code, out, err = self.run(*command, timeout_s=timeout_s)
        if exit_code != 0:
            raise RuntimeError(f"{command[0]} ended with {exit_code}:\n{out}\n{err}")

    def open_images(self) -> ImageBuffer:
        """Attach to the ImageBuffer; the caller closes it."""
        return ImageBuffer.attach(image_buffer_path(self.config))

    def record_of(self, instance: str) -> ServiceRecord:
        """Return the record of a running service."""
        return next(record for record in read_records(self.config) if record.instance == instance)

    def kill(self, instance: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a service of this beamline; returns its process id."""
        pid = self.record_of(instance).pid
        os.kill(pid, number)
        return pid

    def wait_restarted(self, instance: str, old_pid: int, timeout_s: float = 60.0) -> None:
        """Wait until another process than that of ``old_pid`` runs as this service."""
        wait_until(
            lambda: any(record.instance == instance and record.pid != old_pid for record in read_records(self.config)),
            timeout_s,
            lambda: f"{instance} was not started again\n{self.log}",
        )

    def _read_log(self, process: "subprocess.Popen[str]") -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self._log.append(line)
