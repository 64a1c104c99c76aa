"""RunningServices: the services of a detector as processes of this machine, and what they have used."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from std_benchmarks.receiving.cpu_time import process_s
from std_daq.client.scrape import Scrape, scrape
from std_daq.errors import ResourceError
from std_daq.imaging.config.load import load_config
from std_daq.service.record import read_records
from std_daq.service.registry import wanted_instances
from std_daq.service.supervisor import ServiceCommand, Supervisor

READY_TIMEOUT_S = 120.0
_LOOK_S = 0.05
_KEPT_LINES = 20


class RunningServices:
    """Services from their start until the context is left.

    Parameters
    ----------
    config_file
        The detector.
    instances
        Which of its services, by default all of one machine.
    environment
        Added to that of the services.

    Raises
    ------
    ResourceError
        When they do not become ready; the text holds what they have logged.
    """

    def __init__(
        self, config_file: Path, instances: Sequence[str] | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self._config = load_config(config_file)
        commands = [one.command(config_file) for one in wanted_instances(self._config)]
        self._commands: list[ServiceCommand] = [
            command for command in commands if instances is None or command.instance in instances
        ]
        self._log: list[str] = []
        self._supervisor = Supervisor(self._config, self._commands, self._note, environment or {})

    def __enter__(self) -> Self:
        try:
            self._supervisor.start()
            deadline = time.monotonic() + READY_TIMEOUT_S
            while not_ready := self._supervisor.not_ready():
                self._supervisor.step()
                if time.monotonic() > deadline:
                    raise ResourceError(f"not ready: {', '.join(not_ready)}\n{self.log}")
                time.sleep(_LOOK_S)
        except BaseException:
            self._supervisor.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._supervisor.stop()

    @property
    def log(self) -> str:
        """What they have logged last."""
        return "\n".join(self._log[-_KEPT_LINES:])

    def scrape(self) -> dict[str, Scrape]:
        """Return what each service tells of itself."""
        return {record.instance: scrape(record.socket) for record in read_records(self._config)}

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that each service has used since its start."""
        return {record.instance: process_s(record.pid) for record in read_records(self._config)}

    def _note(self, instance: str, line: str) -> None:
        self._log.append(f"{instance}: {line}")
