"""Server: services of a detector as real processes on one server of a network lab."""

import json
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from std_daq.imaging.config.load import load_config
from std_daq.service.record import ServiceRecord, read_records
from std_daq.service.supervisor import ServiceCommand, Supervisor
from std_test_kit.network_namespace import NetworkNamespace
from std_test_kit.wait import wait_until

READY_TIMEOUT_S = 90.0


class Server:
    """Services that are started together, and again when they die; a context manager.

    Parameters
    ----------
    network
        Where they are.
    folder
        For the configuration.
    config
        The document of the detector.json; ``runtime_dir`` has to be this server's own.
    services
        Modules by instance, as ``{"udp-recv": "std_udp_recv"}``.
    environment
        Added to that of the services.
    """

    def __init__(
        self,
        network: NetworkNamespace,
        folder: Path,
        config: dict[str, Any],
        services: dict[str, str],
        environment: dict[str, str] | None = None,
    ) -> None:
        self.network = network
        self.config_file = folder / f"detector-{network.name}.json"
        self.config_file.write_text(json.dumps(config))
        self.config = load_config(self.config_file)
        self.log: list[str] = []
        arguments = ("--config", str(self.config_file))
        commands = [ServiceCommand(instance, module, arguments) for instance, module in services.items()]
        self._supervisor = Supervisor(self.config, commands, self._write_line, environment or {})

    def __enter__(self) -> Self:
        try:
            with self.network.inside():
                self._supervisor.start()
            wait_until(self._is_up, READY_TIMEOUT_S, lambda: "\n".join(self.log))
        except BaseException:
            self._supervisor.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._supervisor.stop()
        if kind is not None:
            sys.stderr.write("\n".join([*self.log, ""]))

    def step(self) -> None:
        """Start again what has died."""
        with self.network.inside():
            self._supervisor.step()

    def is_ready(self) -> bool:
        """Return whether all services are."""
        with self.network.inside():
            return not self._supervisor.not_ready()

    def kill(self, instance: str) -> int:
        """Kill a service, which `step` starts again; returns its process id."""
        pid = self.record_of(instance).pid
        os.kill(pid, signal.SIGKILL)
        return pid

    def record_of(self, instance: str) -> ServiceRecord:
        """Return the record of a running service."""
        return next(record for record in read_records(self.config) if record.instance == instance)

    def _is_up(self) -> bool:
        self.step()
        return self.is_ready()

    def _write_line(self, instance: str, line: str) -> None:
        self.log.append(f"{self.network.name} {instance} {line}")
