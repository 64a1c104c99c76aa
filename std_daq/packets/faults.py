"""Faults of a network, injected on purpose and written down exactly."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PACKET_DTYPE = np.dtype([("port", "<u4"), ("frame", "<u8"), ("packet", "<u4")])
"""Which packet: index of the port, frame number, index of the packet in the frame."""

# uniform random numbers drawn for each packet, whatever the probabilities: is it lost, is it sent twice, is it
# held back, for how long, and for how long its second copy
_LOST, _TWICE, _HELD, _DELAY, _COPY_DELAY = range(5)
_N_DRAWS = 5

_ENTRY_DTYPE = np.dtype([("due", "<i8"), ("place", "<i8"), ("frame", "<u8"), ("packet", "<i8"), ("copy", "?")])


@dataclass(frozen=True, slots=True)
class SendOrder:
    """The packets of one port to send next, in order.

    Attributes
    ----------
    frames
        Frame number of each packet: u64.
    packets
        Index of each packet in its frame: i64.
    """

    frames: NDArray[np.uint64]
    packets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.packets)


class _Port:
    """What is remembered of one port's stream of packets."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.n_fed = 0
        self.last_place = -1
        self.held = np.empty(0, _ENTRY_DTYPE)


class FaultInjector:
    """Decides which packets get lost, are sent twice or come late; deterministic for each seed and port.

    Packets have a place in the stream of their port, frame after frame. A packet that is held back is sent after at
    most `window` packets that have later places; all others keep their order. The second copy of a packet comes after
    the first, within the same bound. What happens to a packet depends on the seed, the port and its place only: not on
    timing, on other ports, or on the probabilities of the other faults.

    Parameters
    ----------
    loss, reorder, duplicate
        Probability for each packet of being not sent at all, held back, and sent twice; 0 to 1.
    window
        The most packets of the same port that overtake one, at least 1. It may reach across frames.
    seed
        Not negative.
    keeps_ledger
        Whether to write down the packets concerned (16 bytes each); they are counted in any case.

    Attributes
    ----------
    n_fed
        Packets that went in.
    n_sent
        Packets that came out, copies included: ``n_fed - n_lost + n_duplicated`` after the flush.
    n_lost, n_duplicated
        Packets never sent, and sent twice.
    n_reordered
        Packets whose first copy came after a packet with a later place.
    """

    def __init__(
        self,
        *,
        loss: float = 0.0,
        reorder: float = 0.0,
        duplicate: float = 0.0,
        window: int = 32,
        seed: int = 0,
        keeps_ledger: bool = True,
    ) -> None:
        for name, probability in (("loss", loss), ("reorder", reorder), ("duplicate", duplicate)):
            if not 0 <= probability <= 1:
                raise ValueError(f"{name} is a probability between 0 and 1, not {probability}")
        if window < 1:
            raise ValueError(f"window is at least 1 packet, not {window}")
        self._loss, self._reorder, self._duplicate = loss, reorder, duplicate
        self._has_faults = bool(loss or reorder or duplicate)
        self._window = window
        self._seed = seed
        self._keeps_ledger = keeps_ledger
        self._ports: dict[int, _Port] = {}
        self._lost: list[NDArray[np.void]] = []
        self._duplicated: list[NDArray[np.void]] = []
        self._reordered: list[NDArray[np.void]] = []
        self.n_fed = 0
        self.n_sent = 0
        self.n_lost = 0
        self.n_duplicated = 0
        self.n_reordered = 0

    def feed(self, port: int, frame: int, n_packets: int) -> SendOrder:
        """Take the packets of a port's next frame.

        Parameters
        ----------
        port
            Index of the port.
        frame
            Number of the frame.
        n_packets
            Packets of this frame.

        Returns
        -------
        SendOrder
            What to send now. Packets held back are in a later order, or in that of the flush: the packets of the
            `held_frames` have to be kept.
        """
        if not self._has_faults:
            self.n_fed += n_packets
            self.n_sent += n_packets
            return SendOrder(np.full(n_packets, frame, np.uint64), np.arange(n_packets))
        state = self._ports.setdefault(port, _Port(np.random.default_rng((self._seed, port))))
        entries = self._entries(state, port, frame, n_packets)
        state.n_fed += n_packets
        self.n_fed += n_packets
        waiting = np.concatenate([state.held, entries])
        is_due = waiting["due"] < state.n_fed
        state.held = waiting[~is_due]
        return self._emit(state, port, waiting[is_due])

    def flush(self, port: int) -> SendOrder:
        """Return the packets of a port that are still held back: its stream ends."""
        state = self._ports.get(port)
        if state is None:
            return SendOrder(np.empty(0, np.uint64), np.empty(0, np.int64))
        held, state.held = state.held, state.held[:0]
        return self._emit(state, port, held)

    def held_frames(self, port: int) -> set[int]:
        """Return the frames that still have packets to send on a port; only these may be in later orders."""
        state = self._ports.get(port)
        return set() if state is None else set(state.held["frame"].tolist())

    @property
    def lost(self) -> NDArray[np.void]:
        """Packets never sent, as PACKET_DTYPE, sorted."""
        return _sorted(self._lost)

    @property
    def duplicated(self) -> NDArray[np.void]:
        """Packets sent twice, as PACKET_DTYPE, sorted."""
        return _sorted(self._duplicated)

    @property
    def reordered(self) -> NDArray[np.void]:
        """Packets whose first copy came after a packet with a later place, as PACKET_DTYPE, sorted."""
        return _sorted(self._reordered)

    def _entries(self, state: _Port, port: int, frame: int, n_packets: int) -> NDArray[np.void]:
        """Return what is to be sent of a frame, each copy with the place that it is due after."""
        draws = state.rng.random((n_packets, _N_DRAWS))
        packets = np.arange(n_packets)
        is_lost = draws[:, _LOST] < self._loss
        is_twice = (draws[:, _TWICE] < self._duplicate) & ~is_lost
        is_held = draws[:, _HELD] < self._reorder
        delay = np.where(is_held, 1 + (draws[:, _DELAY] * self._window).astype(np.int64), 0)
        copy_delay = np.maximum(delay, (draws[:, _COPY_DELAY] * (self._window + 1)).astype(np.int64))

        first = np.empty(n_packets, _ENTRY_DTYPE)
        first["place"] = state.n_fed + packets
        first["due"] = first["place"] + delay
        first["frame"] = frame
        first["packet"] = packets
        first["copy"] = False
        second = first[is_twice]
        second["due"] = second["place"] + copy_delay[is_twice]
        second["copy"] = True

        self.n_lost += int(is_lost.sum())
        self.n_duplicated += len(second)
        self._note(self._lost, port, first[is_lost])
        self._note(self._duplicated, port, second)
        return np.concatenate([first[~is_lost], second])

    def _emit(self, state: _Port, port: int, due: NDArray[np.void]) -> SendOrder:
        """Put entries in order: what is due after a place comes after the packet with that place, nearest first."""
        due = due[np.lexsort((due["copy"], -due["place"], due["due"]))]
        latest = np.maximum.accumulate(np.concatenate([[state.last_place], due["place"]]))
        is_late = (due["place"] < latest[:-1]) & ~due["copy"]
        state.last_place = int(latest[-1])
        self.n_sent += len(due)
        self.n_reordered += int(is_late.sum())
        self._note(self._reordered, port, due[is_late])
        return SendOrder(due["frame"].copy(), due["packet"].copy())

    def _note(self, ledger: list[NDArray[np.void]], port: int, entries: NDArray[np.void]) -> None:
        if self._keeps_ledger and len(entries):
            packets = np.empty(len(entries), PACKET_DTYPE)
            packets["port"] = port
            packets["frame"] = entries["frame"]
            packets["packet"] = entries["packet"]
            ledger.append(packets)


def _sorted(ledger: list[NDArray[np.void]]) -> NDArray[np.void]:
    return np.sort(np.concatenate([np.empty(0, PACKET_DTYPE), *ledger]))
