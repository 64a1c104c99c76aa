"""Hands the optical photons of a Geant4 application over to the photon simulation, and returns their hits.

::

    class Actions(g4.G4VUserActionInitialization):
        def Build(self):
            self.SetUserAction(...)          # what the application has
            hand_over.install(self)


    with SimClient("tcp://127.0.0.1:5555") as client, HandOver(client, on_hits) as hand_over:
        ...
        manager.BeamOn(100)

It needs geant4-pybind. A Geant4 application can begin only once in a process, and one in Python has one thread: its
threads would wait for Python's lock for ever. Start several processes, with a seed each.
"""

from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

import geant4_pybind as g4
import numpy as np
from numpy.typing import NDArray

from std_daq.errors import SimulationError
from std_daq.photons.flags import Flag
from std_daq.photons.records import PHOTON
from std_daq.photons.replies import EventReply
from std_daq.photons.sim_client import SimClient, hits_of

OnHits = Callable[[int, NDArray[np.void]], None]
"""Takes the number of an event and its hits, records of `HIT`."""

N_AHEAD = 16
_HC_MEV_NM = 1239.8419843320026e-6
_CREATORS = {"Cerenkov": int(Flag.CHERENKOV), "Scintillation": int(Flag.SCINTILLATION)}
_N_FLOATS = len(PHOTON.names or ()) - 1


class HandOver:
    """Takes optical photons at their birth, and sends them at the end of each event; a context manager.

    Whoever leaves it without an error has had the hits of all events.

    Parameters
    ----------
    client
        Where photons go.
    on_hits
        Is called with each event, in the order in which they were sent: at the end of a later event, or of the run.
        With ``n_ahead=0`` it is called at the end of the very event.
    n_ahead
        Number of events that may be without a reply while Geant4 works on the next one.
    """

    def __init__(self, client: SimClient, on_hits: OnHits, *, n_ahead: int = N_AHEAD) -> None:
        self._client = client
        self._on_hits = on_hits
        self._n_ahead = n_ahead
        self._values = array("f")
        self._flags = array("I")
        self._optical_photon = g4.G4OpticalPhoton.Definition()
        self._flags_of: dict[int, tuple[int, Any]] = {id(None): (0, None)}
        self._sent: deque[tuple[int, Future[EventReply]]] = deque()
        self._actions = (_TakeAtBirth(self), _SendAtEnd(self))  # Geant4 only borrows them

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.finish()

    def install(self, initialization: Any) -> None:
        """Set a stacking action and an event action; to be called in ``Build`` of the application's initialization.

        An application that has such actions of its own calls `take` and `send` in them.
        """
        for action in self._actions:
            initialization.SetUserAction(action)

    def take(self, track: Any) -> bool:
        """Return whether a new track is an optical photon, and note it if it is; Geant4 need not follow it further.

        Raises
        ------
        SimulationError
            Geant4 gives it another weight than 1, which hits cannot have.
        """
        if track.GetDefinition() is not self._optical_photon:
            return False
        if track.GetWeight() != 1:
            raise SimulationError(
                f"an optical photon has the weight {track.GetWeight():g}; hits have none: switch biasing off"
            )
        at, along, field = track.GetPosition(), track.GetMomentumDirection(), track.GetPolarization()
        wavelength = _HC_MEV_NM / track.GetKineticEnergy()
        self._values.extend((
            at.x, at.y, at.z, along.x, along.y, along.z, field.x, field.y, field.z, wavelength, track.GetGlobalTime(),
        ))  # fmt: skip
        creator = track.GetCreatorProcess()
        known = self._flags_of.get(id(creator)) or self._learn(creator)
        self._flags.append(known[0])
        return True

    def drop(self) -> None:
        """Forget the photons noted so far."""
        self._values, self._flags = array("f"), array("I")

    def send(self, event_id: int) -> None:
        """Send the photons noted so far as an event, and take the hits of earlier ones.

        Raises
        ------
        SimulationError
            An event cannot be simulated, or the server is away for too long.
        """
        photons = np.empty(len(self._flags), PHOTON)
        words = photons.view(np.uint32).reshape(-1, _N_FLOATS + 1)
        words[:, :-1] = np.array(self._values, np.float32).reshape(-1, _N_FLOATS).view(np.uint32)
        words[:, -1] = self._flags
        self.drop()
        self._sent.append((event_id, self._client.submit(photons, event_id)))
        self._take_hits(self._n_ahead)

    def finish(self) -> None:
        """Wait for the hits of all events that were sent; raises SimulationError as `send` does."""
        self._take_hits(0)

    def _take_hits(self, n_ahead: int) -> None:
        while self._sent and (len(self._sent) > n_ahead or self._sent[0][1].done()):
            event_id, reply = self._sent.popleft()
            self._on_hits(event_id, hits_of(reply.result()))

    def _learn(self, creator: Any) -> tuple[int, Any]:
        """Note the flags of a process by its address, which stays its own as long as it is kept."""
        known = (_CREATORS.get(creator.GetProcessName(), 0), creator)
        self._flags_of[id(creator)] = known
        return known


class _TakeAtBirth(g4.G4UserStackingAction):
    def __init__(self, hand_over: HandOver) -> None:
        super().__init__()
        self._hand_over = hand_over

    def ClassifyNewTrack(self, track: Any) -> Any:  # noqa: N802 -- Geant4's name
        return g4.fKill if self._hand_over.take(track) else g4.fUrgent


class _SendAtEnd(g4.G4UserEventAction):
    def __init__(self, hand_over: HandOver) -> None:
        super().__init__()
        self._hand_over = hand_over

    def EndOfEventAction(self, event: Any) -> None:  # noqa: N802 -- Geant4's name
        if event.IsAborted():
            self._hand_over.drop()
        else:
            self._hand_over.send(event.GetEventID())
