"""What is wrong in the near ring is told as lost and passed: both sides would meet it again in each session."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA

MakeServers = Callable[..., Any]
OpenServers = Callable[..., Any]
SMALL, CHUNKED = (4, 8), (1024, 700)


def change_header(servers: Any, sequence: int, field: str, value: int) -> None:
    ring = servers.publisher.ring
    ring.headers["metadata"][field][ring.slot(sequence)] = value


def change_entry(servers: Any, sequence: int, field: str, value: int) -> None:
    servers.publisher.ring.journal._entries[field][sequence] = value


@pytest.mark.parametrize("shape", [SMALL, CHUNKED])
@pytest.mark.parametrize(("field", "value"), [("height", 2**64 - 1), ("width", 0), ("dtype", 777)])
def test_image_that_its_receiver_would_refuse_is_lost_and_the_next_ones_come(
    make_servers: MakeServers, shape: tuple[int, int], field: str, value: int
) -> None:
    servers = make_servers(shape=shape)
    servers.publish(6)
    change_header(servers, 2, field, value)
    change_entry(servers, 2, field, value)
    with capture_logs() as told:
        servers.settle()
    assert servers.reader.ids == list(range(6))
    assert servers.reader.lost == {2}
    assert servers.reader.whole == {0, 1, 3, 4, 5}
    assert servers.value("daq_replica_images_lost_total") == 1
    assert [line["image_id"] for line in told if line["event"] == "image_lost"] == [2]
    assert not [line for line in told if line["event"] == "source_lost"]


@pytest.mark.parametrize("value", [0, 1, 2, 5, 2**63, 2**64 - 1])
def test_entry_with_another_number_than_its_place_stops_no_session(make_servers: MakeServers, value: int) -> None:
    servers = make_servers()
    servers.publish(6)
    change_entry(servers, 2, "sequence", value)
    with capture_logs() as told:
        servers.settle()
    assert servers.reader.ids == list(range(6))
    assert servers.reader.whole == set(range(6))
    assert not [line for line in told if line["event"] == "source_lost"]
    assert bool([line for line in told if line["event"] == "journal_damaged"]) == (value != 2)


def test_receiver_and_sender_that_start_again_pass_it_as_well(make_servers: MakeServers) -> None:
    servers = make_servers()
    servers.publish(3)
    servers.settle()
    servers.publish(3)
    change_header(servers, 3, "width", 9)
    servers.kill_receiver()
    servers.restart_sender()
    servers.settle()
    assert servers.reader.ids == list(range(6))
    assert servers.reader.lost == {3}


@pytest.mark.long
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    is_header=st.booleans(),
    sequence=st.integers(0, 5),
    noise=st.binary(min_size=IMAGE_METADATA.itemsize, max_size=IMAGE_METADATA.itemsize),
)
def test_any_nonsense_in_an_image_or_its_entry_leaves_the_others_alone(
    open_servers: OpenServers, is_header: bool, sequence: int, noise: bytes
) -> None:
    with open_servers() as servers:
        servers.publish(6)
        ring = servers.publisher.ring
        nonsense = np.frombuffer(noise, IMAGE_METADATA)[0]
        if is_header:
            ring.headers["metadata"][ring.slot(sequence)] = nonsense
        else:
            ring.journal._entries[sequence] = nonsense
        servers.settle_until(lambda: servers.far_ring.journal.next_sequence == 6)
        ids = servers.far_ring.journal.read(0, 6).entries["id"].tolist()
        assert [one for place, one in enumerate(ids) if place != sequence] == [n for n in range(6) if n != sequence]
