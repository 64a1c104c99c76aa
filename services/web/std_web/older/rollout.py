"""Rollout: a changed configuration on its way to all services, followed to its end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from std_daq.service.deployment import request_deployment
from std_daq.service.registry import wanted_instances
from std_web.detectors import WatchedDetector
from std_web.state.config_document import config_id
from std_web.state.poller import StatePoller

_TIMEOUT_S = 120.0
_OWN = "web"


@dataclass
class _Begun:
    config_id: str
    start_s: float
    wanted: tuple[str, ...]
    servers: dict[str, str] = field(default_factory=dict)
    status: str = "RUNNING"
    message: str = ""
    stop_s: float | None = None


class Rollout:
    """Asks all services to take a configuration, and tells which have.

    Parameters
    ----------
    detector
        The detector.
    poller
        Tells which services run, since when, and whether they are ready.
    clock
        Returns seconds since 1970.
    """

    def __init__(self, detector: WatchedDetector, poller: StatePoller, clock: Callable[[], float] = time.time) -> None:
        self._detector = detector
        self._poller = poller
        self._clock = clock
        self._begun: _Begun | None = None

    def begin(self) -> None:
        """Ask the services to take the configuration that the detector has.

        Raises
        ------
        ConfigError
            The configuration names a service that is not installed.
        OSError
            The runtime directory cannot be written.
        """
        config = self._detector.config
        wanted = tuple(one.instance.name for one in wanted_instances(config) if one.instance.name != _OWN)
        start_s = request_deployment(config) / 1e9
        self._begun = _Begun(config_id(config), start_s, wanted)

    def document(self) -> dict[str, Any]:
        """Return how far it has come, as the older interface tells it."""
        begun = self._begun
        if begun is None:
            return {
                "config_id": config_id(self._detector.config),
                "status": "UNKNOWN",
                "message": "the configuration has not been changed since the start of std-web",
                "servers": {},
                "stats": {"start_time": None, "stop_time": None},
            }
        if begun.status == "RUNNING":
            self._look(begun)
        return {
            "config_id": begun.config_id,
            "status": begun.status,
            "message": begun.message,
            "servers": dict(begun.servers),
            "stats": {"start_time": begun.start_s, "stop_time": begun.stop_s},
        }

    def _look(self, begun: _Begun) -> None:
        reading = self._poller.state.reading
        now_s = self._clock()
        if reading is not None and reading.status.time_s > begun.start_s:
            started = {service.instance: service for service in reading.status.services}
            for name in begun.wanted:
                service = started.get(name)
                if service is None:
                    begun.servers[name] = "it does not run"
                elif reading.status.time_s - service.up_s < begun.start_s - _ROUNDING_S:
                    begun.servers[name] = "it has the configuration before"
                elif not service.is_ready:
                    begun.servers[name] = f"it is not ready: {service.reason or 'it does not answer'}"
                else:
                    begun.servers[name] = _DONE
        waiting = [name for name in begun.wanted if begun.servers.get(name) != _DONE]
        if not waiting:
            begun.status, begun.message, begun.stop_s = "SUCCESS", "Deployment successful", now_s
        elif now_s > begun.start_s + _TIMEOUT_S:
            first = f"{waiting[0]}: {begun.servers.get(waiting[0], 'nothing is known of it')}"
            begun.status, begun.message, begun.stop_s = "ERROR", f"not within {_TIMEOUT_S:g} s: {first}", now_s
        else:
            begun.message = f"waiting for {', '.join(waiting)}"


_DONE = "Done"
_ROUNDING_S = 0.1  # of the time that a service is up
