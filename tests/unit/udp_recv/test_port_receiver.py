"""What a port's thread is told and tells, without a socket."""

import pytest

from std_udp_recv.port_receiver import PortReceiver
from std_udp_recv.records import QUEUE_LENGTH


class FakeSocket:
    port = 50000
    fileno = -1

    def __init__(self, granted_bytes: int = 2**20) -> None:
        self.granted_bytes = granted_bytes
        self.kernel_drops = 0

    def close(self) -> None:
        pass


def make_receiver(rig, socket: FakeSocket, latency_budget_us: int = 500) -> PortReceiver:
    return PortReceiver(
        rig.port, 0, 1, socket, wake_fd=-1, idle_flush_s=1.0, latency_budget_us=latency_budget_us, cpu=None
    )


def test_kernels_count_of_drops_may_go_round(make_rig):
    socket = FakeSocket()
    receiver = make_receiver(make_rig(), socket)
    totals = []
    for word in (0, 7, 7, 2**32 - 2, 3):
        socket.kernel_drops = word
        totals.append(receiver.kernel_drops())
    assert totals == [0, 7, 7, 2**32 - 2, 2**32 + 3]


@pytest.mark.parametrize(("granted_bytes", "budget_us"), [(2**30, 500), (2**20, 52), (65536, 3)])
def test_wait_for_a_fuller_batch_is_too_short_to_fill_the_buffer(make_rig, granted_bytes, budget_us):
    receiver = make_receiver(make_rig(), FakeSocket(granted_bytes))
    assert int(receiver._loop.settings.budget_us) == budget_us


def test_ended_frames_are_taken_once_in_order_also_round_the_end_of_the_queue(make_rig):
    rig = make_rig()
    receiver = make_receiver(rig, FakeSocket())
    rig.port.n_queued[:] = rig.port.n_dequeued[:] = QUEUE_LENGTH - 2
    taken = []
    for first in (0, 3):
        rig.deliver([rig.packet(key, unit) for key in range(first, first + 3) for unit in range(6)])
        taken += [frame.key for frame in receiver.read_ended()]
    assert taken == list(range(6))
    assert receiver.read_ended() == []
    assert receiver.counters == rig.port.counters
