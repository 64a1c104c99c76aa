"""Answers: what a worker answers at once, and what it has to simulate."""

from std_daq.photons import protocol
from std_daq.photons.backend import Channels
from std_daq.photons.protocol import Frames, PhotonData, RunBegin, RunEnd
from std_sim_worker.metrics import WorkerMetrics


class Answers:
    """The answers that need no simulation.

    Parameters
    ----------
    channels
        The light sensors.
    max_photons
        An event with more photons fails.
    ping_reply
        The answer to PING.
    metrics
        The metrics of the process.
    """

    def __init__(self, channels: Channels, max_photons: int, ping_reply: str, metrics: WorkerMetrics) -> None:
        self._detector_info = protocol.detector_info_reply(channels.positions, channels.types)
        self._max_photons = max_photons
        self._ping_reply = [ping_reply.encode()]
        self._metrics = metrics

    def read(self, frames: Frames) -> list[bytes] | PhotonData | RunBegin | RunEnd:
        """Return the answer to a request, or the request if more has to be done."""
        match protocol.read_request(frames):
            case protocol.Ping():
                return self._ping_reply
            case protocol.DetectorInfo():
                return self._detector_info
            case protocol.PhotonData() as request:
                if request.n_photons > self._max_photons:
                    self._metrics.failed.inc()
                    return protocol.failed_reply(request.event_id)
                return request
            case protocol.Malformed(reply):
                self._metrics.malformed.inc()
                return reply
            case request:
                return request
