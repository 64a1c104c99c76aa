"""What a router tells who watches it, without sockets."""

import json
from typing import Any

import numpy as np
import pytest

from std_daq.photons.endpoints import Posted
from std_daq.photons.protocol import READY, SIM_FAILED, detector_info_reply, hits_reply
from std_daq.photons.records import HIT
from std_daq.photons.request_table import OpenRequest, RequestTable
from std_sim_router.farm import Farm
from std_sim_router.router_pages import RouterPages

A = b"\x00worker a"


class World:
    """A farm with one worker, and a clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.table = RequestTable(100)
        self.farm = Farm(self.table, lambda *_: Posted.DONE, lambda *_: None, max_attempts=3, request_timeout_s=60.0)
        self.pages = RouterPages(self.farm, self.table, lambda: self.now_s)

    def simulate(self, event_id: int, channels: list[int]) -> None:
        hits = np.zeros(len(channels), HIT)
        hits["channel"], hits["time"] = channels, np.arange(len(channels))
        digest = event_id.to_bytes(16, "little")
        self.table.take_in(b"client", OpenRequest(digest, [b"PHOTONDATA"], 10, event_id))
        self.farm.receive(A, [digest, b"", *hits_reply(event_id, hits)], self.now_s)

    def page(self, name: str) -> dict[str, Any]:
        page: dict[str, Any] = json.loads(json.dumps(getattr(self.pages, name)()))
        return page


@pytest.fixture
def world() -> World:
    world = World()
    world.farm.receive(A, [READY], world.now_s)
    return world


def test_hits_of_the_newest_event_are_counted_by_channel(world: World) -> None:
    assert world.page("last_hits") == {"age_s": None, "n_events": 0}
    world.now_s += 1
    world.simulate(1, [5])
    world.simulate(2, [3, 9, 3])
    world.now_s += 1
    assert world.page("last_hits") == {
        "event_id": 2, "n_hits": 3, "channels": [3, 9], "counts": [2, 1], "times_ns": [1.0, 1.0], "age_s": 1.0,
        "n_events": 2,
    }  # fmt: skip


def test_an_event_without_hits_is_the_newest_event_too(world: World) -> None:
    world.simulate(7, [])
    page = world.page("last_hits")
    assert (page["event_id"], page["n_hits"], page["channels"]) == (7, 0, [])


def test_hits_are_not_counted_again_within_a_fifth_of_a_second(world: World) -> None:
    world.simulate(1, [5])
    assert world.page("last_hits")["event_id"] == 1
    world.simulate(2, [5])
    assert world.page("last_hits")["event_id"] == 1
    world.now_s += 0.3
    assert world.page("last_hits")["event_id"] == 2


def test_event_that_failed_is_not_the_newest_one(world: World) -> None:
    world.simulate(1, [5])
    world.farm.receive(A, [b"2" * 16, b"", SIM_FAILED, bytes(4)], world.now_s)
    assert world.page("last_hits")["event_id"] == 1


def test_channels_are_wanted_until_a_worker_has_told_them(world: World) -> None:
    assert world.page("channels") == {"id": None, "positions": [], "types": []}
    assert world.pages.wants_channels
    told = detector_info_reply(np.array([[1, 2, 3], [4, 5, 6]], np.float32), np.array([7, 8], np.int32))
    world.farm.receive(A, [b"3" * 16, b"", *told], world.now_s)
    page = world.page("channels")
    assert (page["positions"], page["types"]) == ([[1, 2, 3], [4, 5, 6]], [7, 8])
    assert page["id"]


def test_workers_are_told_with_what_they_have_in_hand(world: World) -> None:
    world.table.take_in(b"client", OpenRequest(b"4" * 16, [b"PHOTONDATA"], 10, 4))
    world.farm.dispatch(world.now_s)
    world.now_s += 2
    assert world.page("workers") == {
        "n_workers": 1,
        "workers": [{"name": A.hex(), "state": "busy", "n_events": 1, "n_photons": 10, "silent_s": 2.0}],
    }
