"""Alternate frames of one module on two ports, through acquisitions of any length: from packets to exposures."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.port_receiver import EndedFrame
from std_udp_recv.receiver import in_order_of_arrival
from std_udp_recv.records import QUEUE_LENGTH

N_UNITS = 2


class Camera:
    """Two ports of one module, and what is published of them."""

    def __init__(self, rig) -> None:
        self._ports = {0: rig, 8: rig.twin()}
        self._announcer = FrameAnnouncer({0: 1, 8: 1}, window=16, timeout_ns=10**6, last=None)
        self._now_ns = 0
        self.published: list[tuple[int, int]] = []

    def expose(self, key: int, fill: int, lost: int | None) -> None:
        rig = self._ports[key % 2 * 8]
        self._now_ns += 10
        units = [unit for unit in range(N_UNITS) if unit != lost]
        rig.deliver([rig.packet(key, unit, fill) for unit in units], now_ns=self._now_ns)

    def announce(self) -> None:
        ended = [(port, self._ended(rig)) for port, rig in self._ports.items()]
        for port, frame in in_order_of_arrival(ended):
            self._note(self._announcer.feed(port, frame, self._now_ns))

    def pause(self) -> None:
        self._now_ns += 10**6
        for rig in self._ports.values():
            rig.end()
        self.announce()
        self._note(self._announcer.poll(self._now_ns))
        self._note(self._announcer.flush())

    def _ended(self, rig) -> list[EndedFrame]:
        port = rig.port
        places = np.arange(port.n_dequeued[0], port.n_queued[0]) % QUEUE_LENGTH
        port.n_dequeued[0] = port.n_queued[0]
        return [EndedFrame(*values) for values in port.queue[places.astype(np.intp)].tolist()]

    def _note(self, published) -> None:
        self.published += [(int(raw["epoch"][0]), int(raw["frame_index"][0])) for raw in published]

    def n_unused(self) -> int:
        return self._announcer.n_unused()[1]

    def is_accounted(self) -> bool:
        counters = [rig.port.counters for rig in self._ports.values()]
        return all(c.received == c.placed + c.rejected.sum() for c in counters)


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    first=st.integers(0, 1),
    lengths=st.lists(st.sampled_from([1, 1, 2, 3, 40]), min_size=1, max_size=6),
    chance=st.randoms(use_true_random=False),
    loss=st.sampled_from([0.0, 0.0, 0.3]),
)
def test_each_acquisition_is_an_epoch_with_all_its_exposures(make_rig, first, lengths, chance, loss):
    camera = Camera(make_rig(n_units=N_UNITS, key_step=2))
    for fill, length in enumerate(lengths, start=1):
        for key in range(first, first + length):
            camera.expose(key, fill, chance.randrange(N_UNITS) if chance.random() < loss else None)
            if chance.random() < 0.3:
                camera.announce()
        camera.pause()
    epochs = [epoch for epoch, _ in camera.published]
    assert camera.is_accounted()
    assert camera.published == sorted(set(camera.published))
    assert all(after - before in (0, 1) for before, after in pairwise(epochs))
    if not loss:
        assert list(Counter(epochs).values()) == lengths
        assert camera.n_unused() == 0
