"""ConnectedWorker: what the router knows of one worker's connection."""

from dataclasses import dataclass, field

from std_daq.photons.request_table import OpenRequest
from std_daq.photons.worker_identity import WorkerIdentity

SILENT_AFTER_S = 3.5
"""A worker without work that is silent for so long gets none until it is heard again."""
_MAX_IN_HAND = 64


@dataclass(slots=True, eq=False)
class ConnectedWorker:
    """One worker's connection.

    Parameters
    ----------
    identity
        Its ZMQ identity.
    heard_s
        When it was heard last, in seconds of the router's clock.
    description
        What the identity tells; None for a worker of another kind, which takes one request at a time.
    is_refused
        Whether its geometry or seed is another than that of the farm.
    is_stuck
        Whether its requests were given to others because it took too long.
    in_hand
        The requests that it has, by digest.
    progress_s
        When it replied last, or was given a request while it had none.
    """

    identity: bytes
    heard_s: float
    description: WorkerIdentity | None
    is_refused: bool = False
    is_stuck: bool = False
    in_hand: dict[bytes, OpenRequest] = field(default_factory=dict)
    progress_s: float = 0.0

    @property
    def name(self) -> str:
        """Name for logs."""
        return self.identity.hex() if self.description is None else self.description.name

    @property
    def is_busy(self) -> bool:
        """Whether it has a request."""
        return bool(self.in_hand)

    @property
    def n_photons(self) -> int:
        """Number of photons in the requests that it has."""
        return sum(request.n_photons for request in self.in_hand.values())

    def can_take(self, request: OpenRequest, now_s: float) -> bool:
        """Return whether it may be given a request now.

        A request with which a worker has died is simulated alone, so that it cannot take others with it.
        """
        if self.is_refused or self.is_stuck:
            return False
        if not self.in_hand:
            return now_s - self.heard_s < SILENT_AFTER_S
        if self.description is None or request.n_deaths or any(one.n_deaths for one in self.in_hand.values()):
            return False
        has_room = self.n_photons + request.n_photons <= self.description.batch_photons
        return has_room and len(self.in_hand) < _MAX_IN_HAND
