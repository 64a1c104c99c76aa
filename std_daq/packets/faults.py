"""Injection of network faults into a stream of packets: loss, duplicates, reordering; each fault is recorded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PACKET_DTYPE = np.dtype([("port", "<u4"), ("frame", "<u8"), ("packet", "<u4")])
"""Identifies a packet: index of the port, frame number, index of the packet in the frame."""

# Uniform random numbers, which are drawn for each packet whatever the probabilities are: is the packet lost, is it sent
# twice, is it held back, how long is it held back, and how long is its second copy held back?
_LOST, _TWICE, _HELD, _DELAY, _COPY_DELAY = range(5)
_N_DRAWS = 5

_ENTRY_DTYPE = np.dtype([("due", "<i8"), ("place", "<i8"), ("frame", "<u8"), ("packet", "<i8"), ("copy", "?")])


@dataclass(frozen=True, slots=True)
class SendOrder:
    """The packets that one port sends next, in this order.

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
    """State of one port's stream of packets."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.n_fed = 0
        self.last_place = -1
        self.held = np.empty(0, _ENTRY_DTYPE)


class FaultInjector:
    """Decide which packets are lost, sent twice or sent late; deterministic for each seed and port.

    Each packet has a place in the stream of its port, counted over all frames. A packet that is held back is overtaken
    by at most `window` packets with later places; the other packets keep their order. The second copy of a packet
    follows the first one, within the same bound. What happens to a packet depends only on the seed, the port and the
    packet's place. It does not depend on timing, on other ports, or on the probabilities of the other faults.

    Parameters
    ----------
    loss, reorder, duplicate
        Probabilities, from 0 to 1, that a packet is never sent, held back, and sent twice.
    window
        Largest number of packets of the same port that overtake a packet, at least 1. They may be of later frames.
    seed
        Seed of the random numbers, not negative.
    keeps_ledger
        Whether to record each faulty packet (16 bytes each). Faults are counted in any case.

    Attributes
    ----------
    n_fed
        Packets passed to `feed`.
    n_sent
        Packets returned to be sent, copies included: ``n_fed - n_lost + n_duplicated`` after the flush.
    n_lost, n_duplicated
        Packets never sent; packets sent twice.
    n_reordered
        Packets whose first copy is sent after a packet with a later place.
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
                raise ValueError(f"{name} must be a probability from 0 to 1, not {probability}")
        if window < 1:
            raise ValueError(f"window must be at least 1 packet, not {window}")
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
        """Add the packets of a port's next frame, and return the packets to send now.

        Parameters
        ----------
        port
            Index of the port.
        frame
            Number of the frame.
        n_packets
            Number of packets in this frame.

        Returns
        -------
        SendOrder
            The packets to send now. A packet that is held back is returned by a later call, or by `flush`; the caller
            must keep the packets of the `held_frames` until then.
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
        """Return the packets of a port that are still held back, because its stream ends."""
        state = self._ports.get(port)
        if state is None:
            return SendOrder(np.empty(0, np.uint64), np.empty(0, np.int64))
        held, state.held = state.held, state.held[:0]
        return self._emit(state, port, held)

    def held_frames(self, port: int) -> set[int]:
        """Return the frames of a port of which packets are held back; later calls return packets of these frames."""
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
        """Packets whose first copy is sent after a packet with a later place, as PACKET_DTYPE, sorted."""
        return _sorted(self._reordered)

    def _entries(self, state: _Port, port: int, frame: int, n_packets: int) -> NDArray[np.void]:
        """Return the copies of a frame's packets to send, each with the place after which it is due."""
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
        """Put entries in the order to send them.

        An entry that is due after a place follows the packet with that place. Of several such entries, the one with
        the latest place goes first.
        """
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
