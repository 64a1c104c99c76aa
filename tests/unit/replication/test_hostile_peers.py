"""Whatever a peer sends: nobody ends, and the ring has nothing that was not sent as an image."""

import struct
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, dtype_code
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.imaging.protocols.replication import (
    Ack,
    Checked,
    Hello,
    ImageForm,
    Kind,
    Point,
    Position,
    Share,
    Start,
    Welcome,
    encode_image,
    encode_kind,
    encode_lost,
    encode_notes,
)
from std_test_kit.store_driver import N_MODULES

SMALL, CHUNKED = (4, 8), (256, 160)
EDGES = st.sampled_from([0, 1, 2, 3, 7, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1])
SEQUENCES = st.integers(0, 12) | EDGES
U32 = st.integers(0, 5) | st.sampled_from([2**31, 2**32 - 1])
POINTS = st.builds(Point, SEQUENCES, SEQUENCES)


def metadata(shape: tuple[int, int], sequence: int) -> Any:
    one = np.zeros(1, IMAGE_METADATA)
    one["height"], one["width"], one["dtype"], one["sequence"] = *shape, dtype_code(np.dtype("u2")), sequence
    return one


def messages_of_a_sender(shape: tuple[int, int]) -> st.SearchStrategy[bytes]:
    form = ImageForm(*shape, dtype_code(np.dtype("u2")), N_MODULES)
    n_bytes = shape[0] * shape[1] * 2
    modules = np.zeros(N_MODULES, MODULE_ENTRY)
    chunks = {"n_chunks": 1} if shape == CHUNKED else {"pixels": bytes(n_bytes)}
    return st.one_of(
        st.builds(Welcome, st.just(form), EDGES, POINTS).map(Welcome.encode),
        st.builds(Checked, SEQUENCES, st.frozensets(SEQUENCES, max_size=3)).map(Checked.encode),
        st.builds(Position, SEQUENCES, EDGES, EDGES).map(Position.encode),
        SEQUENCES.map(lambda sequence: encode_image(metadata(shape, sequence), modules, **chunks)),  # type: ignore[arg-type]
        st.lists(SEQUENCES, max_size=4).map(
            lambda lost: encode_lost(np.concatenate([metadata(shape, 0)[:0], *(metadata(shape, n) for n in lost)]))
        ),
        st.dictionaries(st.text(), st.integers(), max_size=2).map(encode_notes),
        st.just(bytes(n_bytes)),
        garbage(),
    )


def messages_of_a_receiver() -> st.SearchStrategy[bytes]:
    shares = st.builds(Share, U32, U32)
    names = st.sampled_from(["EG", "JF", "a" * 64, ""])
    hello = st.builds(Hello, names, st.sampled_from(["far", "b", "\n"]), shares, POINTS, st.sampled_from(Start), U32)
    return st.one_of(hello.map(Hello.encode), st.builds(Ack, EDGES, POINTS).map(Ack.encode), garbage())


def garbage() -> st.SearchStrategy[bytes]:
    return st.builds(lambda kind, rest: encode_kind(kind) + rest, st.sampled_from(Kind), st.binary(max_size=64)) | (
        st.binary(max_size=200)
    )


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data(), shape=st.sampled_from([SMALL, CHUNKED]))
def test_receiver_takes_whatever_its_sender_sends(
    open_servers: Callable[..., Any], data: st.DataObject, shape: tuple[int, int]
) -> None:
    with open_servers(shape=shape, far_slots=8, credit=4) as servers:
        servers.sender = DeafSender(servers.sender)
        servers.receiver.step()
        for message in data.draw(st.lists(messages_of_a_sender(shape), max_size=25)):
            for wire in servers.network._wires.values():
                wire.incoming.append(message)
            servers.receiver.step()
            servers.clock.now += 0.3
            servers.receiver.step()
        entries = servers.far_ring.journal.read(0, 100).entries
        for sequence in range(len(entries) - 4, len(entries)):
            if sequence >= 0 and servers.far_ring.holds(sequence):
                header = servers.far_ring.headers[servers.far_ring.slot(sequence)]
                assert header["metadata"].tobytes() == entries[sequence].tobytes()


@pytest.mark.long
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(messages=st.lists(messages_of_a_receiver(), max_size=25))
def test_sender_takes_whatever_receivers_send_and_serves_the_others(
    open_servers: Callable[..., Any], messages: list[bytes]
) -> None:
    with open_servers(near_slots=8) as servers:
        servers.publish(3)
        servers.settle()
        hostile = servers.network.connect("tcp://a:1")
        for message in messages:
            hostile.send(message)
            servers.step()
            servers.clock.now += 0.01
        servers.publish(3)
        servers.settle()
        assert servers.reader.whole == set(range(6))


def test_sender_that_sends_more_than_there_is_credit_for_is_given_up(make_servers: Callable[..., Any]) -> None:
    servers = make_servers(shape=CHUNKED, far_slots=8, credit=4)
    servers.receiver.step()
    form = ImageForm(*CHUNKED, dtype_code(np.dtype("u2")), N_MODULES)
    (wire,) = servers.network._wires.values()
    wire.incoming = deque([Welcome(form, 8, Point(5, 0)).encode()])
    for sequence in range(12):
        wire.incoming.append(encode_image(metadata(CHUNKED, sequence), np.zeros(N_MODULES, MODULE_ENTRY), n_chunks=1))
        wire.incoming.append(struct.pack("<H", sequence) * (CHUNKED[0] * CHUNKED[1]))
    for _ in range(4):
        servers.receiver.step()
    assert len(servers.receiver._publisher._items) <= 4
    assert "credit" in str(servers.receiver.why_not_ready)


class DeafSender:
    """Stands in for a sender, whose messages the test makes."""

    def __init__(self, sender: Any) -> None:
        self.close = sender.close
