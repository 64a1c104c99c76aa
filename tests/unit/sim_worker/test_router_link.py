"""The connection of a worker to a router that is written down here."""

import os
import time

import pytest
import zmq

from std_daq.photons.protocol import READY
from std_sim_worker.router_link import RouterLink
from std_test_kit.quick_handshakes import connect_at_once


def test_router_that_is_connected_at_once_is_told_that_the_worker_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    connect_at_once(monkeypatch)
    wake = os.eventfd(0)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    link = RouterLink(f"tcp://127.0.0.1:{port}", lambda: b"worker", time.monotonic)
    try:
        deadline = time.monotonic() + 10
        while not link.is_connected and time.monotonic() < deadline:
            link.poll(100, wake)
            link.receive(is_busy=False)
        assert router.poll(5000)
        assert router.recv_multipart() == [b"worker", READY]
    finally:
        link.close()
        router.close(linger=0)
        context.term()
        os.close(wake)
