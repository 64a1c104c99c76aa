"""SimClient: sends photons to a server of the photon simulation, and returns hits.

::

    with SimClient("tcp://127.0.0.1:5555") as client:
        channels = client.detector_info()
        hits = client.simulate(photons)
        for reply in client.simulate_many(enumerate(events), progress=True):
            print(reply.event_id, len(reply.hits))
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path
from typing import Self

import numpy as np
import zmq
from numpy.typing import NDArray

from std_daq.errors import SimulationError
from std_daq.photons import protocol
from std_daq.photons.backend import Channels
from std_daq.photons.config import DEFAULT_FRONTEND
from std_daq.photons.endpoints import check_address, connect_dealer
from std_daq.photons.keys import ClientKeys
from std_daq.photons.progress import progress_of
from std_daq.photons.protocol import Frame
from std_daq.photons.records import NO_HITS
from std_daq.photons.replies import Accepted, EventReply, Failed, Hits, read_detector_info
from std_daq.photons.server_link import ServerLink

N_IN_FLIGHT = 64
PATIENCE_S = 60.0
_ANSWER_S = 5.0
_FILE_S = 600.0


class SimClient:
    """A client of a router or of a standalone worker, ours or another's; a context manager.

    It may be used by several threads.

    Parameters
    ----------
    address
        Where the server takes clients.
    n_in_flight
        Number of events that are sent ahead of their replies.
    patience_s
        How long the server may be away, as while it is started again, before events fail; None: for ever.
    keys
        The file that ``std-sim keys`` made for this client, or what is in it, if the server encrypts.

    Raises
    ------
    ArgumentError
        The address is none, or the file holds no keys of a client.
    """

    def __init__(
        self,
        address: str = DEFAULT_FRONTEND,
        *,
        n_in_flight: int = N_IN_FLIGHT,
        patience_s: float | None = PATIENCE_S,
        keys: Path | str | ClientKeys | None = None,
    ) -> None:
        self._address = check_address("address", address)
        self._n_in_flight = n_in_flight
        self._patience_s = patience_s
        self._keys = ClientKeys.load("keys", Path(keys)) if isinstance(keys, Path | str) else keys
        self._link: ServerLink | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()
            self._link = None

    def ping(self, timeout_s: float = _ANSWER_S) -> float:
        """Return how long the server took to answer, in seconds; raises SimulationError if it does not."""
        started_s = time.perf_counter()
        answer = bytes(self._ask([protocol.PING], timeout_s)[0])
        if answer not in {protocol.ACK, b"PONG"}:
            raise SimulationError(f"{self._address} answers {answer[:32]!r} to PING: it is no server of the simulation")
        return time.perf_counter() - started_s

    def detector_info(self, timeout_s: float = 30.0) -> Channels:
        """Return the light sensors of the detector; raises SimulationError if no worker tells them in time."""
        return read_detector_info(self._ask([protocol.DETECTOR_INFO], timeout_s))

    def begin_run(self, file_name: str, timeout_s: float = _ANSWER_S) -> None:
        """Tell an asynchronous worker the name of the file for the events that follow."""
        self._expect_ack(protocol.run_begin_request(file_name), timeout_s)

    def end_run(self, timeout_s: float = _FILE_S) -> None:
        """Wait until an asynchronous worker has written the file of the run."""
        self._expect_ack([protocol.RUN_END], timeout_s)

    def submit(self, photons: NDArray[np.void], event_id: int = 0) -> "Future[EventReply]":
        """Send an event when there is room, and return what will hold its reply.

        Parameters
        ----------
        photons
            Records of `PHOTON`.
        event_id
            Number of the event. Another number gives other random numbers.
        """
        if not 0 <= event_id <= protocol.MAX_EVENT_ID:
            raise ValueError(f"event_id is {event_id}; events are numbered from 0 to {protocol.MAX_EVENT_ID}")
        if self._link is None:
            self._link = ServerLink(self._address, self._n_in_flight, self._patience_s, self._keys)
        return self._link.submit(event_id, protocol.photon_request(event_id, photons))

    def simulate(
        self, photons: NDArray[np.void], event_id: int = 0, timeout_s: float | None = None
    ) -> NDArray[np.void]:
        """Return the hits of an event, records of `HIT`; none if the server writes them to a file.

        Raises
        ------
        SimulationError
            The event cannot be simulated, or the server is away for too long.
        TimeoutError
            There is no reply within ``timeout_s``.
        """
        return hits_of(self.submit(photons, event_id).result(timeout_s))

    def simulate_many(
        self, events: Iterable[tuple[int, NDArray[np.void]]], *, progress: bool = False
    ) -> Iterator[Hits | Accepted]:
        """Yield the replies to events as they come; events are taken as there is room for them.

        Parameters
        ----------
        events
            Numbers and photons of the events.
        progress
            Whether a bar on standard error shows how far it is.

        Raises
        ------
        SimulationError
            An event cannot be simulated, or the server is away for too long.
        """
        n_events = len(events) if isinstance(events, Sequence) else None
        with progress_of(n_events, is_shown=progress) as advance:
            for reply in self._replies(events):
                advance()
                yield reply

    def _replies(self, events: Iterable[tuple[int, NDArray[np.void]]]) -> Iterator[Hits | Accepted]:
        pending: set[Future[EventReply]] = set()
        for event_id, photons in events:
            pending.add(self.submit(photons, event_id))
            while len(pending) >= 2 * self._n_in_flight:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from map(_checked, done)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from map(_checked, done)

    def _expect_ack(self, request: Sequence[bytes], timeout_s: float) -> None:
        answer = bytes(self._ask(request, timeout_s)[0])
        if answer != protocol.ACK:
            raise SimulationError(f"{self._address} answers {answer[:32]!r} to {request[0].decode()}")

    def _ask(self, request: Sequence[bytes], timeout_s: float) -> list[Frame]:
        """Return the reply to a short request, over a connection of its own: the reply does not say what it is to."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        dealer = connect_dealer(context, self._address, keys=self._keys)
        try:
            dealer.send_multipart([b"", *request])
            if not dealer.poll(int(timeout_s * 1000)):
                hint = "has it these keys?" if self._keys else "a server that encrypts needs --keys"
                raise SimulationError(
                    f"{self._address} does not answer {request[0].decode()} within {timeout_s:g} s; {hint}"
                )
            _, *reply = dealer.recv_multipart()
        finally:
            dealer.close(linger=0)
            context.term()
        if not reply:
            raise SimulationError(f"{self._address} answers nothing to {request[0].decode()}")
        return [*reply]


def hits_of(reply: EventReply) -> NDArray[np.void]:
    """Return the hits of a reply; none if they went into a file. Raises SimulationError if the event failed."""
    checked = _checked(reply)
    return checked.hits if isinstance(checked, Hits) else NO_HITS


def _checked(reply: "EventReply | Future[EventReply]") -> Hits | Accepted:
    found = reply.result() if isinstance(reply, Future) else reply
    if isinstance(found, Failed):
        raise SimulationError(f"event {found.event_id} cannot be simulated; the log of the worker has the reason")
    assert isinstance(found, Hits | Accepted)  # noqa: S101 - a refusal is no reply to an event
    return found
