"""The peers of ZMQ sockets that listen are limited, so that they never use up the files of a process."""

import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pytest
import zmq

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.streams.descriptors import most_peers, raise_limit
from std_daq.streams.doorbell import DoorbellPublisher
from std_daq.streams.queue import PullQueue, PushQueue
from std_daq.streams.zmq_places import ZmqPlaces
from std_event_analysis.results_publisher import ResultsPublisher
from std_event_view.command_socket import CommandSocket

N_PLACES = 8


Open = Callable[[int], "zmq.Socket[bytes]"]


@pytest.fixture
def open_socket() -> Iterator[Open]:
    """Open ZMQ sockets that are closed at the end."""
    with zmq.Context() as context:
        opened: list[zmq.Socket[bytes]] = []

        def open_one(kind: int) -> "zmq.Socket[bytes]":
            opened.append(context.socket(kind))
            return opened[-1]

        yield open_one
        for one in opened:
            one.close(linger=0)


@pytest.fixture
def strangers() -> Iterator[ExitStack]:
    """Whoever connects; this process may open as many files as it can."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    raise_limit()
    with ExitStack() as stack:
        yield stack
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def connect_to(endpoint: str) -> socket.socket:
    """Return a connection to a ZMQ endpoint that says nothing."""
    if endpoint.startswith("ipc://"):
        stranger = socket.socket(socket.AF_UNIX)
        stranger.connect(endpoint.removeprefix("ipc://"))
        return stranger
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    return socket.create_connection((host, int(port)))


def is_ended(connection: socket.socket) -> bool:
    """Return whether the other side has ended a connection; it may have sent its greeting before."""
    connection.setblocking(False)
    try:
        while connection.recv(100):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_silent_peers_make_room_and_who_is_served_stays(
    open_socket: Open, strangers: ExitStack, scheme: str, runtime: Path
) -> None:
    router = open_socket(zmq.ROUTER)
    places = ZmqPlaces(router, N_PLACES)
    router.bind("tcp://127.0.0.1:*" if scheme == "tcp" else f"ipc://{runtime}/router")
    endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
    friend = open_socket(zmq.DEALER)
    friend.connect(endpoint)
    friend.send(b"it is me")
    assert router.poll(5000)
    identity, _ = router.recv_multipart(copy=False)
    places.look()
    places.note_served(identity)
    silent = [strangers.enter_context(connect_to(endpoint)) for _ in range(40)]

    def have_gone() -> bool:
        places.look()
        return sum(map(is_ended, silent)) == 40 - (N_PLACES - 1)

    wait_for(have_gone)
    assert places.n_peers == N_PLACES
    assert places.n_ended == 40 - (N_PLACES - 1)
    router.send_multipart([identity.bytes, b"still here?"])
    assert friend.poll(5000)
    late = open_socket(zmq.DEALER)
    late.connect(endpoint)
    late.send(b"me, too")

    def has_come() -> bool:
        places.look()
        return bool(router.poll(1))

    wait_for(has_come)
    places.close()


def test_who_says_nothing_is_disconnected_after_the_time_for_a_greeting(
    open_socket: Open, strangers: ExitStack
) -> None:
    router = open_socket(zmq.ROUTER)
    router.setsockopt(zmq.HANDSHAKE_IVL, 50)
    places = ZmqPlaces(router, N_PLACES)
    assert router.getsockopt(zmq.HANDSHAKE_IVL) == 50, "a shorter time stays"
    router.bind("tcp://127.0.0.1:*")
    silent = strangers.enter_context(connect_to(router.getsockopt_string(zmq.LAST_ENDPOINT)))

    def has_gone() -> bool:
        places.look()
        return is_ended(silent) and places.n_peers == 0

    wait_for(has_gone)
    assert places.n_ended == 0
    places.close()


def test_connection_that_has_ended_is_not_confused_with_the_next_one_at_its_descriptor(
    open_socket: Open, strangers: ExitStack
) -> None:
    router = open_socket(zmq.ROUTER)
    places = ZmqPlaces(router, N_PLACES)
    router.bind("tcp://127.0.0.1:*")
    endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
    strangers.enter_context(connect_to(endpoint))

    def has_come() -> bool:
        places.look()
        return places.n_peers == 1

    wait_for(has_come)
    ((descriptor, peer),) = places._peers.items()
    peer.name = ("another", "address")
    places._end(descriptor, peer)
    with suppress(TimeoutError):
        (connection := strangers.enter_context(connect_to(endpoint))).settimeout(0.01)
        connection.recv(1)
    with socket.socket(fileno=descriptor) as same:
        assert same.getpeername(), "the connection is still there"
        same.detach()
    places.close()


@pytest.mark.parametrize(
    "opened",
    [
        DoorbellPublisher,
        lambda address: PushQueue(address, bind=True),
        lambda address: PullQueue(address, bind=True),
        ResultsPublisher,
        CommandSocket,
    ],
    ids=["doorbell", "push", "pull", "results", "commands"],
)
def test_sockets_of_a_server_have_a_limited_number_of_peers(
    opened: Callable[[str], DoorbellPublisher], runtime: Path, strangers: ExitStack
) -> None:
    address = f"ipc://{runtime}/socket"
    with closing(opened(address)):
        silent = [strangers.enter_context(connect_to(address)) for _ in range(300)]
        wait_for(lambda: sum(map(is_ended, silent)) == 300 - 256)


_PUBLISHER = """
import resource, sys
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
import numpy as np
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.streams.doorbell import DoorbellPublisher
publisher = DoorbellPublisher(sys.argv[1])
print("ready", flush=True)
entry = np.zeros(1, IMAGE_METADATA)
for line in sys.stdin:
    publisher.ring(entry)
    print("rung", flush=True)
publisher.close()
"""


def test_publisher_with_few_files_survives_more_peers_than_it_can_open(runtime: Path, strangers: ExitStack) -> None:
    address = f"ipc://{runtime}/bell"
    with subprocess.Popen(
        [sys.executable, "-c", _PUBLISHER, address, "2048"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as publisher:
        lines, commands = publisher.stdout, publisher.stdin
        assert lines is not None
        assert commands is not None

        def ring() -> None:
            commands.write("\n")
            commands.flush()
            assert lines.readline() == "rung\n"

        assert lines.readline() == "ready\n"
        for _ in range(3000):  # as fast as it can, which is faster than they can be sent away
            strangers.enter_context(connect_to(address))
        for _ in range(500):
            line = strangers.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            line.connect(f"{runtime}/bell.wake")
            ring()
        with zmq.Context() as context, context.socket(zmq.SUB) as friend:
            friend.subscribe(b"")
            friend.connect(address)
            while not friend.poll(10):
                ring()
            assert len(friend.recv()) == np.zeros(1, IMAGE_METADATA).nbytes
        commands.close()
        assert publisher.wait(10) == 0


_STREAM = """
import resource, sys, zmq
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
from std_daq.streams.zmq_places import ZmqPlaces
with zmq.Context() as context, context.socket(zmq.XPUB) as stream:
    stream.setsockopt(zmq.XPUB_VERBOSE, 1)
    places = ZmqPlaces(stream)
    print(stream.bind_to_random_port("tcp://127.0.0.1"), flush=True)
    for line in sys.stdin:
        while stream.poll(0):
            message = stream.recv(copy=False)
            places.look()
            places.note_served(message)
        places.look()
        stream.send(b"newest")
        print(places.n_peers, flush=True)
    places.close()
"""


def test_stream_recovers_after_more_peers_than_it_can_open(strangers: ExitStack) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _STREAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stream:
        lines, commands = stream.stdout, stream.stdin
        assert lines is not None
        assert commands is not None

        def publish() -> int:
            commands.write("\n")
            commands.flush()
            return int(lines.readline())

        port = int(lines.readline())
        with zmq.Context() as context, context.socket(zmq.SUB) as friend, context.socket(zmq.SUB) as late:
            for subscriber in (friend, late):
                subscriber.subscribe(b"")
                subscriber.setsockopt(zmq.RECONNECT_IVL, 10)
            friend.connect(f"tcp://127.0.0.1:{port}")
            while not friend.poll(10):
                publish()
            for _ in range(150):  # the stream does not look meanwhile, until it can open no more files
                strangers.enter_context(socket.create_connection(("127.0.0.1", port)))
            wait_for(lambda: publish() <= 8)
            while friend.poll(0):
                friend.recv()
            late.connect(f"tcp://127.0.0.1:{port}")
            while not late.poll(10):
                publish()
            assert friend.poll(5000)
        commands.close()
        assert stream.wait(10) == 0


def test_limit_of_files_is_raised_as_far_as_it_may_be() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert most_peers(256) == 32
        assert raise_limit(500) == 500
        assert raise_limit(300) == 500, "it is never lowered"
        assert raise_limit(10**9) == before[1]
        assert most_peers(256) == 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
