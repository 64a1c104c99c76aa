"""Placing against a plain model, whatever the network does to the packets."""

import random
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_udp_recv.placing import kernels as k

WINDOW = 3
IDLE = b"idle"


class Model:
    """What a receiver should do with one packet after the other; frames are dicts of unit -> payload."""

    def __init__(self, n_units: int, window: int) -> None:
        self.n_units = n_units
        self.window = window
        self.newest: int | None = None
        self.passed = self.first = 0
        self.open: dict[int, dict[int, bytes]] = {}
        self.known: dict[int, dict[int, bytes]] = {}
        self.ended: list[tuple[int, int, dict[int, bytes]]] = []
        self.quarantine: list[tuple[int, int, bytes]] = []
        self.counts = dict.fromkeys([*k.REASONS, "received", "placed", "lost", "restarts"], 0)
        self.epoch = 1
        self.is_idle = False
        self.identity: int | None = None
        self.n_mismatched = 0

    def take(self, datagram: bytes) -> None:
        self.counts["received"] += 1
        if len(datagram) != 16 + 24:
            self.counts["wrong_length"] += 1
            return
        key, unit, identity, detector, version = _read(datagram)
        if detector != 7:
            self.counts["foreign_detector"] += 1
        elif version != 2:
            self.counts["foreign_version"] += 1
        elif unit >= self.n_units:
            self.counts["unit_out_of_range"] += 1
        elif not self._is_own(identity):
            self.counts["foreign_module"] += 1
        elif key >= 2**63:
            self.counts["implausible"] += 1
        else:
            self._take(key, unit, datagram[16:])

    def _is_own(self, identity: int) -> bool:
        if self.identity is None or self.n_mismatched >= self.n_units:
            self.identity = identity
        self.n_mismatched = 0 if identity == self.identity else self.n_mismatched + 1
        return identity == self.identity

    def _take(self, key: int, unit: int, payload: bytes) -> None:
        if self.newest is None:
            self._begin(key)
        reason, speaks = self._refusal(key, unit)
        if reason is None:
            self._refuse_quarantine()
            self.is_idle = False
            self._place(key, unit, payload)
            return
        self.quarantine.append((key, unit, payload))
        if (self.is_idle and speaks) or (len(self.quarantine) == k.QUARANTINE and self._is_restart()):
            self._restart()
        elif len(self.quarantine) == k.QUARANTINE:
            self._refuse_quarantine()

    def _refusal(self, key: int, unit: int) -> tuple[str | None, bool]:
        if key > self.newest + k.FORWARD:
            return "implausible", True
        if key in self.known:
            return ("duplicate", True) if unit in self.known[key] else ("late", False)
        if key in self.open or key > self.passed:
            return None, False
        return "late", True

    def _is_restart(self) -> bool:
        keys = [key for key, _, _ in self.quarantine]
        if max(keys) - min(keys) > self.window + k.QUARANTINE:
            return False
        return any(self._refusal(key, unit)[1] for key, unit, _ in self.quarantine)

    def _refuse_quarantine(self) -> None:
        for key, unit, _ in self.quarantine:
            self.counts[self._refusal(key, unit)[0] or "implausible"] += 1
        self.quarantine = []

    def _restart(self) -> None:
        self._end_up_to(self.newest)
        self.epoch += 1
        self.counts["restarts"] += 1
        self.known = {}
        self.is_idle = False
        packets, self.quarantine = self.quarantine, []
        self._begin(packets[0][0])
        for key, unit, payload in packets:
            reason, _ = self._refusal(key, unit)
            if reason is None:
                self._place(key, unit, payload)
            else:
                self.counts[reason] += 1

    def _begin(self, key: int) -> None:
        self.newest = self.first = key
        self.passed = key - self.window

    def _place(self, key: int, unit: int, payload: bytes) -> None:
        if unit in self.open.get(key, {}):
            self.counts["duplicate"] += 1
            return
        if key > self.newest:
            self.newest = key
            self._end_up_to(key - self.window)
        frame = self.open.setdefault(key, {})
        frame[unit] = payload
        self.counts["placed"] += 1
        if len(frame) == self.n_units:
            self._end_frame(key)

    def _end_frame(self, key: int) -> None:
        frame = self.open.pop(key)
        self.known[key] = frame
        self.ended.append((key, self.epoch, frame))
        self.counts["lost"] += self.n_units - len(frame)

    def _end_up_to(self, last: int) -> None:
        for key in range(self.passed + 1, last + 1):
            if key in self.open:
                self._end_frame(key)
            elif key not in self.known and self.first <= key <= self.newest:
                self.counts["lost"] += self.n_units
        self.passed = max(self.passed, last)

    def idle(self) -> None:
        unknown = any(key not in self.known and key not in self.open for key, _, _ in self.quarantine)
        if unknown and self._is_restart():
            self._restart()
        self._refuse_quarantine()
        if self.newest is not None:
            self._end_up_to(self.newest)
            self.is_idle = True


def _read(datagram: bytes) -> tuple[int, int, int, int, int]:
    return (
        int.from_bytes(datagram[0:8], "little"),
        int.from_bytes(datagram[8:12], "little"),
        int.from_bytes(datagram[12:14], "little"),
        datagram[14],
        datagram[15],
    )


def _hostile(rig: Any, chance: random.Random, key: int) -> bytes:
    good = rig.packet(key, chance.randrange(6), fill=chance.randrange(2**32))
    return chance.choice(
        [
            good[:-1],
            good + b"x",
            good + bytes(200),
            b"",
            good[:10],
            chance.randbytes(chance.randrange(80)),
            rig.packet(key, 6),
            rig.packet(key, 2**32 - 1),
            rig.packet(key, 0, detector=1),
            rig.packet(key, 0, version=1),
            rig.packet(key, 0, identity=6),
            rig.packet(key + 5160, chance.randrange(6)),
            rig.packet(2**64 - 1, 0),
            rig.packet(max(0, key - 9), chance.randrange(6), fill=3),
        ]
    )


def _stream(rig: Any, chance: random.Random, n_frames: int, faults: float, start: int) -> list[bytes]:
    """Packets of consecutive frames with losses, duplicates, reordering and foreign packets."""
    packets = []
    for key in range(start, start + n_frames):
        for unit in range(6):
            if chance.random() < faults:
                continue
            packets.append(rig.packet(key, unit, fill=chance.randrange(1, 2**32)))
            if chance.random() < faults:
                packets.append(chance.choice(packets[-12:]))
            if chance.random() < faults:
                packets.append(_hostile(rig, chance, key))
    reach = chance.choice([0, 2, 10, 30])
    order = [i + chance.random() * reach * (chance.random() < faults) for i in range(len(packets))]
    return [packets[i] for i in np.argsort(order, kind="stable")]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    faults=st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.7]),
    batch=st.integers(1, 40),
    parts=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.booleans()), min_size=1, max_size=4),
)
def test_every_pixel_that_arrived_is_right_and_every_packet_is_counted_once(make_rig, seed, faults, batch, parts):
    chance = random.Random(seed)
    rig = make_rig(window=WINDOW)
    model = Model(6, WINDOW)
    frames: dict[tuple[int, int], tuple[bytes, int]] = {}
    n_read = 0
    for start, n_frames, is_idle in parts:
        packets = _stream(rig, chance, n_frames, faults, start)
        while packets:
            some, packets = packets[:batch], packets[batch:]
            rig.deliver(some, batch)
            for datagram in some:
                model.take(datagram)
            n_read = _collect(rig, frames, n_read)
        if is_idle:
            rig.end()
            model.idle()
        n_read = _collect(rig, frames, n_read)
    rig.end()
    model.idle()
    _collect(rig, frames, n_read)

    counts = {name: rig.count(index) for name, index in k.REASONS.items()}
    counts |= {"received": rig.count(k.RECEIVED), "placed": rig.count(k.PLACED), "lost": rig.count(k.LOST)}
    counts["restarts"] = rig.count(k.RESTARTS)
    assert counts == model.counts
    assert counts["received"] == counts["placed"] + sum(counts[name] for name in k.REASONS)
    assert [tuple(record[:2]) for record in rig.ended()] == [(key, epoch) for key, epoch, _ in model.ended]
    for key, epoch, units in model.ended:
        if (key, epoch) not in frames:
            continue  # overwritten by a later epoch before it could be read
        assert frames[key, epoch] == (
            b"".join(units.get(unit, bytes(24)) for unit in range(6)),
            sum(1 << unit for unit in units),
        )
    assert not (rig.ring.generations % 2).any()
    assert (rig.ring.data[0::2] == 0xEE).all(), "the other module's frames were touched"


def _collect(rig: Any, frames: dict[tuple[int, int], tuple[bytes, int]], n_read: int) -> int:
    """Copy the frames that have ended since, and check that they lie where a reader looks for them."""
    ended = rig.ended()
    for key, epoch, *_ in ended[n_read:]:
        index = rig.ring.index(key, 1)
        header = rig.ring.headers[index]
        # Several epochs may have used the slot within the batch; then only the last is still there.
        if (int(header["frame_index"]), int(header["epoch"])) != (key, epoch):
            continue
        assert int(header["generation"]) % 2 == 0
        assert int(header["n_missing_packets"]) == 6 - int(header["n_received_packets"])
        frames[key, epoch] = (rig.ring.frame(index).tobytes(), int(header["received"][0]))
    return len(ended)
