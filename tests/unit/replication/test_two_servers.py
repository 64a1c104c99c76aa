"""What comes over from one ring to another, whatever the network and the processes do."""

from collections.abc import Callable
from typing import Any

import pytest

MakeServers = Callable[..., Any]
SMALL, CHUNKED = (4, 8), (1024, 700)


@pytest.mark.parametrize("shape", [SMALL, CHUNKED])
def test_images_come_over_as_they_are_and_in_order(make_servers: MakeServers, shape: tuple[int, int]) -> None:
    servers = make_servers(shape=shape)
    servers.publish(10)
    servers.settle()
    assert servers.reader.ids == list(range(10))
    assert servers.reader.whole == set(range(10))


@pytest.mark.parametrize("shape", [SMALL, CHUNKED])
def test_metadata_are_those_of_the_other_server_but_for_the_sequence(
    make_servers: MakeServers, shape: tuple[int, int]
) -> None:
    servers = make_servers(shape=shape, near_slots=4)
    servers.publish(9)
    servers.settle(4)
    near, far = servers.publisher.ring.journal.read(5, 4).entries, servers.far_ring.journal.read(0, 4).entries
    assert far["sequence"].tolist() == [0, 1, 2, 3]
    far["sequence"] = near["sequence"]
    assert far.tobytes() == near.tobytes()


def test_image_that_is_overwritten_while_it_is_sent_is_lost_and_not_torn(make_servers: MakeServers) -> None:
    servers = make_servers(shape=CHUNKED, near_slots=4, credit=2)
    servers.publish(2)
    for _ in range(4):
        servers.step(n_messages=2)
    servers.sender.step()
    servers.publish(4)
    servers.settle()
    assert servers.reader.ids == list(range(6))
    assert servers.reader.wrong == set()
    assert servers.reader.lost
    assert servers.reader.whole | servers.reader.lost == set(range(6))
    assert servers.value("daq_replication_images_torn_total") >= 1
