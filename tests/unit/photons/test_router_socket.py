"""The ROUTER sockets of the photon simulation outlive their peers."""

import signal
import subprocess
import sys

import pytest
import zmq

from std_daq.photons.endpoints import Posted, bind_router, bound_address, connect_dealer, deliver
from std_test_kit.wait import wait_until

# In a process of its own, because what goes wrong ends the process. Nothing is read, so that the queue of the peer is
# full when the peer goes, if it has a bound. Then longer is waited than a ping would take.
PEER_GOES = """
import sys, time
import zmq
from std_daq.photons.endpoints import HEARTBEAT_INTERVAL_MS, bind_router, bound_address

context = zmq.Context()
router, _ = bind_router(context, "--frontend", "tcp://127.0.0.1:*", pings=sys.argv[1] == "pings")
peer = context.socket(zmq.DEALER)
peer.connect(bound_address(router))
peer.setsockopt(zmq.SNDTIMEO, 2000)
n_sent = 0
try:
    while n_sent < 10_000:
        peer.send(bytes(10_000))
        n_sent += 1
except zmq.Again:
    pass
peer.close(linger=0)
time.sleep(3 * HEARTBEAT_INTERVAL_MS / 1000)
print(n_sent < 10_000, flush=True)
context.destroy(linger=0)
"""


@pytest.mark.long
@pytest.mark.parametrize(("pings", "is_bounded"), [("pings", False), ("none", True)])
def test_router_outlives_a_peer_that_goes_while_much_is_unread(pings: str, is_bounded: bool) -> None:
    command = [sys.executable, "-c", PEER_GOES, pings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"{is_bounded}\n"), done.stderr


PEER_OF_OURS = """
import sys, time
import zmq
from std_daq.photons.endpoints import connect_dealer

dealer = connect_dealer(zmq.Context(), sys.argv[1], b"peer")
dealer.send(b"here")
time.sleep(60)
"""


@pytest.mark.long
def test_peer_of_ours_that_is_stopped_is_dropped_within_three_seconds() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router, _ = bind_router(context, "--backend", "tcp://127.0.0.1:*", pings=True)
    with subprocess.Popen([sys.executable, "-c", PEER_OF_OURS, bound_address(router)]) as peer:
        try:
            assert router.poll(20_000)
            assert router.recv_multipart() == [b"peer", b"here"]
            assert deliver(router, b"peer", [b"you?"]) is Posted.DONE
            peer.send_signal(signal.SIGSTOP)
            wait_until(lambda: deliver(router, b"peer", [b"you?"]) is Posted.GONE, 3.0)
        finally:
            peer.kill()
            context.destroy(linger=0)


@pytest.mark.long
def test_peer_of_ours_that_is_silent_but_alive_is_kept() -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router, _ = bind_router(context, "--backend", "tcp://127.0.0.1:*", pings=True)
    dealer = connect_dealer(context, bound_address(router), b"peer")
    dealer.send(b"here")
    assert router.recv_multipart() == [b"peer", b"here"]
    # For longer than a stopped one is kept.
    assert not dealer.poll(3000)
    assert deliver(router, b"peer", [b"you?"]) is Posted.DONE
    assert dealer.poll(5000)
    context.destroy(linger=0)
