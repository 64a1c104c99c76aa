from pathlib import Path

import numpy as np
import pytest

from std_daq.errors import PortError
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.streams.doorbell import Doorbell, DoorbellPublisher
from std_daq.streams.queue import PullQueue, PushQueue

ENTRY = np.zeros(1, IMAGE_METADATA)


def test_doorbell_wakes_a_listener_that_came_first(runtime: Path) -> None:
    address = f"ipc://{runtime}/bell"
    bell = Doorbell(address)
    publisher = DoorbellPublisher(address)
    woken = False
    for _ in range(100):
        publisher.ring(ENTRY)
        woken = bell.wait(0.05)
        if woken:
            break
    assert woken
    assert not bell.wait(0.0)
    bell.close()
    publisher.close()


def test_ringing_without_listeners_or_with_a_stuck_one_blocks_nobody(runtime: Path) -> None:
    address = f"ipc://{runtime}/bell"
    publisher = DoorbellPublisher(address)
    stuck = Doorbell(address)
    for _ in range(20_000):
        publisher.ring(ENTRY)
    stuck.close()
    publisher.close()


def test_address_that_cannot_be_bound_is_named(runtime: Path) -> None:
    with pytest.raises(PortError, match=r"nowhere/bell cannot be bound"):
        DoorbellPublisher(f"ipc://{runtime}/nowhere/bell")
    with pytest.raises(PortError, match=r"nowhere/queue cannot be opened"):
        PullQueue(f"ipc://{runtime}/nowhere/queue", bind=True)


def test_queue_delivers_in_order_whoever_comes_first(runtime: Path) -> None:
    address = f"ipc://{runtime}/queue"
    pull = PullQueue(address, bind=False)
    push = PushQueue(address, bind=True)
    n_sent = 0
    for _ in range(10_000):
        if push.push(str(n_sent).encode()):
            n_sent += 1
        if n_sent == 100:
            break
        pull.pull(0.001)
    received = []
    while (message := pull.pull(1.0)) is not None:
        received.append(int(message))
        if message == b"99":
            break
    assert received == sorted(received)
    assert received[-1] == 99
    push.close()
    pull.close()


def test_full_or_unconnected_queue_says_so_instead_of_blocking_or_dropping(runtime: Path) -> None:
    push = PushQueue(f"ipc://{runtime}/queue", bind=True)
    assert not push.push(b"nobody is there")
    push.close()
