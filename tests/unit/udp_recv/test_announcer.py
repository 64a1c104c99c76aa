"""What is published of an exposure, without sockets and rings."""

from typing import Any

import pytest

from std_daq.protocols.image_metadata import ImageStatus
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.port_receiver import EndedFrame


def ended(key: int, **changes: Any) -> EndedFrame:
    values = {
        "key": key,
        "epoch": 4,
        "id": key + 1000,
        "pulse_id": 5,
        "daq_rec": 1,
        "timestamp": 6,
        "first_arrival_ns": 100,
        "last_arrival_ns": 200,
        "n_missing_packets": 0,
    }
    return EndedFrame(**{**values, **changes})


@pytest.fixture
def announcer() -> FrameAnnouncer:
    return make_announcer(None)


def make_announcer(last: tuple[int, int] | None) -> FrameAnnouncer:
    return FrameAnnouncer([3, 5], window=8, timeout_ns=1000, ring_epoch=4, last=last, is_alternating=False)


def test_exposure_is_published_when_its_last_module_is_there(announcer):
    assert announcer.feed(3, ended(7, first_arrival_ns=90), 0) == []
    (raw,) = announcer.feed(5, ended(7, last_arrival_ns=300), 1)
    assert (int(raw["id"][0]), int(raw["frame_index"][0]), int(raw["epoch"][0])) == (1007, 7, 0)
    assert (int(raw["first_arrival_ns"][0]), int(raw["last_arrival_ns"][0])) == (90, 300)
    assert int(raw["status"][0]) == ImageStatus.GOOD


def test_status_says_what_is_wrong(announcer):
    announcer.feed(3, ended(7, n_missing_packets=2), 0)
    (raw,) = announcer.feed(5, ended(7, id=1), 0)
    assert int(raw["status"][0]) == ImageStatus.MISSING_PACKETS | ImageStatus.ID_MISMATCH


def test_exposure_is_published_without_a_module_at_the_time_limit(announcer):
    announcer.feed(5, ended(7), 0)
    assert announcer.poll(999) == []
    (raw,) = announcer.poll(1000)
    assert int(raw["status"][0]) == ImageStatus.MISSING_MODULES
    assert int(raw["n_missing_modules"][0]) == 1


def test_restart_of_all_modules_is_one_new_epoch(announcer):
    for module in (3, 5):
        announcer.feed(module, ended(7), 0)
    announcer.feed(3, ended(1, epoch=5), 0)
    (raw,) = announcer.feed(5, ended(1, epoch=5), 0)
    assert (int(raw["frame_index"][0]), int(raw["epoch"][0])) == (1, 1)


def test_frame_that_a_modules_other_port_still_had_from_before_the_restart_is_dropped(announcer):
    announcer.feed(3, ended(1, epoch=5), 0)
    assert announcer.feed(3, ended(900, epoch=4), 0) == []
    assert announcer.n_stale == 1
    assert announcer.n_waiting == 1


def test_ids_of_64_bits_survive_the_signed_records(announcer):
    announcer.feed(3, ended(7, id=-1), 0)
    (raw,) = announcer.feed(5, ended(7, id=-1), 0)
    assert int(raw["id"][0]) == 2**64 - 1


@pytest.mark.parametrize(("key", "epoch"), [(101, 9), (400, 9), (100, 10), (1, 10)])
def test_started_again_it_goes_on_in_its_epoch_unless_the_numbers_jump_back(key, epoch):
    announcer = make_announcer(last=(9, 100))
    announcer.feed(3, ended(key), 0)
    (raw,) = announcer.feed(5, ended(key), 0)
    assert int(raw["epoch"][0]) == epoch
