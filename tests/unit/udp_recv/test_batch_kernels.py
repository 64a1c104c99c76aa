"""Placing against a plain model, whatever the network does to the packets."""

import random
from collections.abc import Sequence
from itertools import compress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from std_udp_recv.records import MAX_FRAMES_AHEAD, MIN_QUARANTINED, REASONS

WINDOW = 3


class Model:
    """What a receiver should do with one packet after the other; frames are dicts of unit -> payload."""

    def __init__(self, n_units: int, window: int, units_per_packet: int) -> None:
        self.n_units = n_units
        self.units_per_packet = units_per_packet
        self.window = window
        self.newest: int | None = None
        self.passed = self.first = 0
        self.open: dict[int, dict[int, bytes]] = {}
        self.known: dict[int, dict[int, bytes]] = {}
        self.ended: list[tuple[int, int, dict[int, bytes]]] = []
        self.n_packets: dict[int, int] = {}
        self.size = units_per_packet or 4
        self.quarantine: list[tuple[int, dict[int, bytes]]] = []
        self.identities: list[int] = []  # of the packets in quarantine
        self.counts = dict.fromkeys([*REASONS, "received", "placed", "lost", "restarts"], 0)
        self.epoch = 1
        self.is_idle = False
        self.n_fitting = 0
        self.identity: int | None = None
        self.n_mismatched = 0

    def take_batch(self, datagrams: Sequence[bytes]) -> None:
        for datagram in datagrams:
            self.take(datagram)

    def take(self, datagram: bytes) -> None:
        self.counts["received"] += 1
        count, padding = divmod(len(datagram) - 16, 24)
        is_fixed = self.units_per_packet > 0
        allowed = (self.units_per_packet,) if is_fixed else (1, 2, 3, 4)
        if count not in allowed or padding > (0 if is_fixed else 5):
            self.counts["wrong_length"] += 1
            return
        key, unit, identity, detector, version = _read(datagram)
        if detector != 7:
            self.counts["foreign_detector"] += 1
        elif version != 2:
            self.counts["foreign_version"] += 1
        elif unit + count > self.n_units:
            self.counts["unit_out_of_range"] += 1
        elif key > 2**62:
            self.counts["implausible"] += 1
        elif self.newest is not None and not self._is_own(identity):
            self.counts["foreign_module"] += 1
        else:
            units = {unit + i: datagram[16 + 24 * i : 40 + 24 * i] for i in range(count)}
            self._take(key, units, identity)

    def _is_own(self, identity: int) -> bool:
        if identity != self.identity and self.n_mismatched >= self.packets_in_frame:
            self.identity = identity
            self.n_mismatched = 0
        is_own = identity == self.identity
        self.n_mismatched = max(0, self.n_mismatched - 1) if is_own else self.n_mismatched + 1
        return is_own

    @property
    def packets_in_frame(self) -> int:
        return -(-self.n_units // self.size)

    @property
    def n_some(self) -> int:
        return min(2, self.packets_in_frame)

    def _take(self, key: int, units: dict[int, bytes], identity: int) -> None:
        if self.quarantine and self.newest is not None:
            self._decide_before(key, units)
        if self._refusal(key, units)[0] is None and not self._belongs_to_quarantine(key):
            self.is_idle = False
            self._place(key, units)
            return
        if not self.quarantine:
            self.n_fitting = 0
        self.quarantine.append((key, units))
        self.identities.append(identity)
        if self._is_confirmed():
            self._believe()
        elif len(self.quarantine) == MIN_QUARANTINED:
            self._decide()

    def _decide_before(self, key: int, units: dict[int, bytes]) -> None:
        """What is in quarantine is decided on by some of the packets that come next."""
        if self._refusal(key, units)[0] is not None:
            if any(other == key and present.keys() & units.keys() for other, present in self.quarantine):
                self._decide()
        elif key > self.newest:
            if any(k <= self.newest and 2 * self._n_speaking(k) > self.packets_in_frame for k, _ in self.quarantine):
                self._believe()
            self._refuse_quarantine()
        elif not self._belongs_to_quarantine(key):
            self.n_fitting += 1
            if self.n_fitting > max(1, self.packets_in_frame // 8):
                self._refuse_quarantine()

    def _decide(self) -> None:
        if self._is_believable():
            self._believe()
        self._refuse_quarantine()

    def _belongs_to_quarantine(self, key: int) -> bool:
        if not self.quarantine or self.quarantine[-1][0] != key or (key not in self.known and key not in self.open):
            return False
        return 2 * sum(other == key for other, _ in self.quarantine) > self.packets_in_frame

    def _refusal(self, key: int, units: dict[int, bytes]) -> tuple[str | None, bool]:
        """The reason why a packet is refused, and whether it speaks for a restart or lost frames."""
        if self.newest is None or key > self.newest + self.window:
            return "implausible", True
        if key in self.known:
            return ("duplicate", True) if units.keys() & self.known[key].keys() else ("late", False)
        if units.keys() & self.open.get(key, {}).keys():
            return "duplicate", True
        if key in self.open or key > self.passed:
            return None, True
        return "late", True

    def _n_speaking(self, key: int) -> int:
        return sum(other == key and self._refusal(other, units)[1] for other, units in self.quarantine)

    def _is_near(self, key: int, other: int) -> bool:
        return abs(key - other) <= self.window + MIN_QUARANTINED

    def _may_follow(self, key: int) -> bool:
        return self.newest is not None and 0 < key - self.newest <= MAX_FRAMES_AHEAD

    def _is_confirmed(self) -> bool:
        key = self.quarantine[-1][0]
        packets = [units for other, units in self.quarantine if other == key]
        n_speaking = self._n_speaking(key)
        if n_speaking == 0:
            return False
        n_units = sum(len(units) for units in packets)
        if self.newest is None and 2 * n_units > self.n_units:
            return True
        is_whole = n_units >= self.n_units
        if is_whole and (len(packets) > 1 or key <= self.newest):
            return 2 * n_speaking >= len(packets)
        return any(
            other < key and self._is_near(other, key) and 2 * self._n_speaking(other) > self.packets_in_frame
            for other, _ in self.quarantine
        )

    def _is_believable(self) -> bool:
        for i, (key, _) in enumerate(self.quarantine):
            n = self._n_speaking(key)
            if n < self.n_some:
                continue
            if self.newest is None or (2 * n >= self.packets_in_frame and (n > 1 or key <= self.newest)):
                return True
            for later, _ in self.quarantine[i + 1 :]:
                is_series = self._is_near(key, later) or (self._may_follow(key) and self._may_follow(later))
                if later > key and is_series and self._n_speaking(later) >= self.n_some:
                    return True
        return False

    def _refuse_quarantine(self) -> None:
        for key, units in self.quarantine:
            self.counts[self._refusal(key, units)[0] or "implausible"] += 1
        self.quarantine, self.identities = [], []

    def _believe(self) -> None:
        most = max(self.quarantine, key=lambda packet: self._n_speaking(packet[0]))[0]
        if self.newest is None:
            self._learn_identity(most)
        is_first = self.newest is None
        is_restart = not self._may_follow(most)
        last = max(i for i, (key, _) in enumerate(self.quarantine) if key == most)
        if is_restart:
            last -= self._restart(most)
        self.is_idle = False
        packets, self.quarantine = self.quarantine, []
        identities, self.identities = self.identities, []
        for i, (key, units) in enumerate(packets):
            reason, _ = self._refusal(key, units)
            is_some = sum(other == key for other, _ in packets) >= self.n_some and (is_first or not is_restart)
            if identities[i] != self.identity:
                reason = "foreign_module"
            elif i < last and key > most + self.window:
                reason = "implausible"
            elif reason == "implausible" and self._may_follow(key) and (is_some or self._is_near(key, most)):
                reason = None
            if reason is None:
                self._place(key, units)
            else:
                self.counts[reason] += 1

    def _learn_identity(self, most: int) -> None:
        lead = 0
        for (key, _), identity in zip(self.quarantine, self.identities, strict=True):
            if key == most:
                self.identity = identity if lead == 0 else self.identity
                lead += 1 if identity == self.identity else -1

    def _restart(self, most: int) -> int:
        """Begin an epoch; return how many packets in quarantine are too late for it."""
        near = [(key, self._refusal(key, units)[1]) for key, units in self.quarantine]
        lowest = min(key for key, speaks in near if key == most or (speaks and self._is_near(key, most)))
        first = [key for key, _ in self.quarantine].index(lowest)
        late = [packet for packet in self.quarantine[:first] if not self._refusal(*packet)[1]]
        self.counts["late"] += len(late)
        is_kept = [not any(packet is one for one in late) for packet in self.quarantine]
        self.quarantine = list(compress(self.quarantine, is_kept))
        self.identities = list(compress(self.identities, is_kept))
        if self.newest is not None:
            self._end_up_to(self.newest)
            self.epoch += 1
            self.counts["restarts"] += 1
        self.known = {}
        self._begin(lowest)
        return len(late)

    def _begin(self, key: int) -> None:
        self.newest = self.first = key
        self.passed = key - self.window

    def _place(self, key: int, units: dict[int, bytes]) -> None:
        if units.keys() & self.open.get(key, {}).keys():
            self.counts["duplicate"] += 1
            return
        if key > self.newest:
            self.newest = key
            self._end_up_to(key - self.window)
        frame = self.open.setdefault(key, {})
        frame |= units
        self.counts["placed"] += 1
        self.n_packets[key] = self.n_packets.get(key, 0) + 1
        if self.units_per_packet == 0 and max(units) < self.n_units - 1:
            self.size = len(units)
        self._end_complete()

    def _end_complete(self) -> None:
        for key in range(self.passed + 1, self.newest + 1):
            if len(self.open.get(key, {})) == self.n_units:
                self._end_frame(key)
            elif key in self.open or (key not in self.known and key >= self.first):
                break

    def _end_frame(self, key: int) -> None:
        frame = self.open.pop(key)
        self.known[key] = frame
        self.ended.append((key, self.epoch, frame))
        n_packets = self.n_packets.pop(key)
        if len(frame) < self.n_units:
            self.counts["lost"] += max(1, self.packets_in_frame - n_packets)

    def _end_up_to(self, last: int) -> None:
        for key in range(self.passed + 1, last + 1):
            if key in self.open:
                self._end_frame(key)
            elif key not in self.known and self.first <= key <= self.newest:
                self.counts["lost"] += self.packets_in_frame
        self.passed = max(self.passed, last)

    def idle(self) -> None:
        if self.quarantine:
            self._decide()
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
            rig.packet(key + 20, chance.randrange(6)),
            rig.packet(2**64 - 1, 0),
            rig.packet(2**63 - 1, 0),
            rig.packet(2**62, 0),
            rig.packet(max(0, key - 9), chance.randrange(6), fill=3),
        ]
    )


def _stream(rig: Any, chance: random.Random, n_frames: int, faults: float, start: int) -> list[bytes]:
    """Packets of consecutive frames with losses, duplicates, reordering and foreign packets."""
    packets = []
    for key in range(start, start + n_frames):
        unit = 0
        while unit < 6:
            # Where packets may have any size, some detectors' last one is smaller, and foreign senders' are any.
            count = rig.layout.units_per_packet or min(
                6 - unit, chance.randint(1, 4) if chance.random() < faults else 4
            )
            first, unit = unit, unit + count
            if chance.random() < faults:
                continue
            padding = bytes(chance.choice([0, 5]) if rig.layout.max_padding_bytes else 0)
            packets.append(rig.packet(key, first, fill=chance.randrange(1, 2**32), count=count) + padding)
            if chance.random() < faults:
                packets.append(chance.choice(packets[-12:]))
            if chance.random() < faults:
                packets.append(_hostile(rig, chance, key))
    reach = chance.choice([0, 2, 10, 30])
    order = [i + chance.random() * reach * (chance.random() < faults) for i in range(len(packets))]
    return [packets[i] for i in np.argsort(order, kind="stable")]


# The length of packets changes within a batch in which another sender is learned.
@pytest.mark.long
@example(seed=205, faults=0.3, batch=4, units_per_packet=0, parts=[(0, 8, False)])
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    seed=st.integers(0, 2**32),
    faults=st.sampled_from([0.0, 0.01, 0.1, 0.3, 0.7]),
    batch=st.integers(1, 40),
    units_per_packet=st.sampled_from([1, 2, 0]),
    parts=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.booleans()), min_size=1, max_size=4),
)
def test_every_pixel_that_arrived_is_right_and_every_packet_is_counted_once(
    make_rig, seed, faults, batch, units_per_packet, parts
):
    chance = random.Random(seed)
    rig = make_rig(window=WINDOW, units_per_packet=units_per_packet)
    model = Model(6, WINDOW, units_per_packet)
    frames: dict[tuple[int, int], tuple[bytes, int]] = {}
    n_read = 0
    for start, n_frames, is_idle in parts:
        packets = _stream(rig, chance, n_frames, faults, start)
        while packets:
            some, packets = packets[:batch], packets[batch:]
            rig.deliver(some, batch, tell=model.take_batch)
            n_read = _collect(rig, frames, n_read)
        if is_idle:
            rig.end()
            model.idle()
        n_read = _collect(rig, frames, n_read)
    rig.end()
    model.idle()
    _collect(rig, frames, n_read)

    counts = rig.rejected()
    counts |= {"received": rig.count("received"), "placed": rig.count("placed"), "lost": rig.count("lost")}
    counts["restarts"] = rig.count("restarts")
    assert counts == model.counts
    assert counts["received"] == counts["placed"] + sum(counts[name] for name in REASONS)
    ended = [(record[1], record[0]) for record in rig.ended()]
    assert ended == [(epoch, key) for key, epoch, _ in model.ended]
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
        index = rig.index(key)
        header = rig.ring.headers[index]
        # Several epochs may have used the slot within the batch; then only the last is still there.
        if (int(header["frame_index"]), int(header["epoch"])) != (key, epoch):
            continue
        assert int(header["generation"]) % 2 == 0
        is_whole = int(header["received"][0]) == 0b111111
        assert (int(header["n_missing_packets"]) == 0) == is_whole
        frames[key, epoch] = (rig.ring.frame(index).tobytes(), int(header["received"][0]))
    return len(ended)
