"""Runs the services of a system on this machine."""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from std_daq.errors import ResourceError

if TYPE_CHECKING:
    from std_daq.config.platform import PlatformConfig
    from std_daq.service.supervisor import ServiceCommand

_READY_POLL_S = 0.2


class Companion(Protocol):
    """What runs beside the services, and which they need."""

    def wait_until_ready(self) -> None:
        """Wait until it can be used."""

    def revive(self) -> None:
        """Start it again if it died."""


def run_services(
    config: "PlatformConfig",
    commands: "Sequence[ServiceCommand]",
    stop: threading.Event,
    *,
    ready_timeout_s: float,
    environment: Mapping[str, str],
    companion: Companion | None = None,
    note_ready: Callable[[], None] = lambda: None,
    renewed: "Callable[[], Sequence[ServiceCommand] | None]" = lambda: None,
) -> None:
    """Run services until ``stop`` is set; prints ``ready`` when all are ready, and starts again what dies later.

    Once all have been ready, ``renewed`` is asked for other services; it returns None as long as they are to stay.

    Raises
    ------
    ResourceError
        A service ended before all were ready, or they were not ready in time.
    """
    from std_daq.cli.service_log import ServiceLog
    from std_daq.service.supervisor import Supervisor

    log = ServiceLog(sys.stderr, [command.instance for command in commands])
    supervisor = Supervisor(config, commands, log.write, environment)
    deadline = time.monotonic() + ready_timeout_s
    is_ready = False
    try:
        supervisor.start()
        if companion is not None:
            companion.wait_until_ready()  # the services start at the same time, and may have to compile
        while not stop.wait(_READY_POLL_S):
            supervisor.step()
            if companion is not None:
                companion.revive()
            if is_ready:
                commands_now = renewed()
                if commands_now is not None:
                    supervisor.take(commands_now)
                continue
            not_ready = supervisor.not_ready()
            is_ready = not not_ready
            if is_ready:
                note_ready()
                print("ready", flush=True)
            elif time.monotonic() > deadline:
                raise ResourceError(
                    f"not ready within {ready_timeout_s:g} s: {', '.join(not_ready)}; read the logs above"
                )
    finally:
        supervisor.stop()
