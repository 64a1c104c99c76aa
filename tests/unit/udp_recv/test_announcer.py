"""What is published of an exposure, without sockets and rings."""

from typing import Any

import pytest

from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.port_receiver import EndedFrame
from std_udp_recv.receiver import in_order_of_arrival


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
        "n_refused_packets": 0,
    }
    return EndedFrame(**{**values, **changes})


@pytest.fixture
def announcer() -> FrameAnnouncer:
    return make_announcer(None)


def make_announcer(last: tuple[int, int] | None) -> FrameAnnouncer:
    return FrameAnnouncer({3: 3, 5: 5}, window=8, timeout_ns=1000, last=last)


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


@pytest.mark.parametrize(
    ("pulse_ids", "status", "pulse_id", "odd"),
    [
        ((5, 5, 5), ImageStatus.GOOD, 5, []),
        ((5, 6, 5), ImageStatus.OUT_OF_STEP, 5, [2]),
        ((6, 5, 5), ImageStatus.OUT_OF_STEP, 5, [1]),
        ((0, 5, 0), ImageStatus.GOOD, 5, []),
        ((0, 5, 6), ImageStatus.OUT_OF_STEP, 5, [3]),
    ],
)
def test_frames_of_other_pulses_are_out_of_step_and_counted(pulse_ids, status, pulse_id, odd):
    announcer = FrameAnnouncer({1: 1, 2: 2, 3: 3}, window=8, timeout_ns=1000, last=None)
    raws = [raw for port in (1, 2, 3) for raw in announcer.feed(port, ended(7, pulse_id=pulse_ids[port - 1]), 0)]
    assert [(int(raw["status"][0]), int(raw["pulse_id"][0])) for raw in raws] == [(status, pulse_id)]
    assert [module for module, n in announcer.n_out_of_step().items() if n] == odd


def test_image_id_is_that_of_the_majority():
    announcer = FrameAnnouncer({1: 1, 2: 2, 3: 3}, window=8, timeout_ns=1000, last=None)
    pulses = {1: 8, 2: 9, 3: 9}
    raws = [
        raw for port, pulse in pulses.items() for raw in announcer.feed(port, ended(7, id=pulse, pulse_id=pulse), 0)
    ]
    assert [(int(raw["id"][0]), int(raw["pulse_id"][0])) for raw in raws] == [(9, 9)]


def test_frame_with_refused_packets_marks_its_exposure(announcer):
    announcer.feed(3, ended(7), 0)
    (raw,) = announcer.feed(5, ended(7, n_refused_packets=3), 0)
    assert int(raw["status"][0]) == ImageStatus.REFUSED_PACKETS


@pytest.mark.parametrize(("claimed", "has_claim"), [((5, 100, 200), True), ((3, 100, 200), False)])
def test_exposure_without_a_module_of_which_all_packets_were_refused_is_marked(claimed, has_claim):
    announcer = FrameAnnouncer(
        {3: 3, 5: 5}, window=8, timeout_ns=1000, last=None, has_refused=lambda *arrivals: arrivals == claimed
    )
    announcer.feed(3, ended(7), 0)
    (raw,) = announcer.poll(1000)
    assert bool(int(raw["status"][0]) & ImageStatus.REFUSED_PACKETS) is has_claim
    assert int(raw["status"][0]) & ImageStatus.MISSING_MODULES


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


def test_numbers_that_jump_ahead_are_a_gap_not_a_restart(announcer):
    for module in (3, 5):
        announcer.feed(module, ended(7), 0)
    announcer.feed(3, ended(90_000, epoch=5), 0)
    (raw,) = announcer.feed(5, ended(90_000, epoch=5), 0)
    assert (int(raw["frame_index"][0]), int(raw["epoch"][0])) == (90_000, 0)


def test_module_that_was_away_comes_back_into_the_exposures_of_the_others(announcer):
    for module in (3, 5):
        announcer.feed(module, ended(7), 0)
    for key in range(8, 3000):
        announcer.feed(3, ended(key), 10_000 * key)
        announcer.poll(10_000 * key + 5_000)
    announcer.feed(5, ended(3000, epoch=5), 30_000_000)
    (raw,) = announcer.feed(3, ended(3000), 30_000_000)
    assert (int(raw["frame_index"][0]), int(raw["epoch"][0])) == (3000, 0)
    assert int(raw["status"][0]) == ImageStatus.GOOD


def test_first_arrivals_lie_within_the_exposure_although_the_clock_was_set_back(announcer):
    announcer.feed(3, ended(7, first_arrival_ns=100, last_arrival_ns=50), 0)
    (raw,) = announcer.feed(5, ended(7, first_arrival_ns=40, last_arrival_ns=60), 0)
    assert (int(raw["first_arrival_ns"][0]), int(raw["last_arrival_ns"][0])) == (40, 100)


def test_frame_of_a_published_exposure_is_counted_as_late(announcer):
    announcer.feed(3, ended(7), 0)
    assert len(announcer.poll(1000)) == 1
    assert announcer.feed(5, ended(7), 1001) == []
    assert announcer.n_unused() == {3: 0, 5: 1}


def test_many_frames_at_once_crowd_no_exposure_out(announcer):
    ended_at_once = [
        (port, [ended(key, first_arrival_ns=10 * key, last_arrival_ns=10 * key + port) for key in range(1000)])
        for port in (3, 5)
    ]
    statuses = [
        int(raw["status"][0])
        for port, frame in in_order_of_arrival(ended_at_once)
        for raw in announcer.feed(port, frame, 0)
    ]
    assert statuses == [ImageStatus.GOOD] * 1000


@pytest.fixture
def camera() -> FrameAnnouncer:
    """One module, even frames on port 0 and odd ones on port 8."""
    return FrameAnnouncer({0: 2, 8: 2}, window=8, timeout_ns=1000, last=None)


def keys(published: list[Any]) -> list[tuple[int, int]]:
    return [(int(raw["epoch"][0]), int(raw["frame_index"][0])) for raw in published]


def test_ports_of_one_module_see_the_same_restart_once(camera):
    published = []
    for key in range(4):
        published += camera.feed(key % 2 * 8, ended(key), 0)
    for port, key in ((0, 0), (0, 2), (8, 1), (8, 3)):
        published += camera.feed(port, ended(key, epoch=5), 0)
    assert keys(published) == [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]


def test_port_that_had_no_frames_of_several_acquisitions_is_heard_in_the_next(camera):
    published = []
    for acquisition in range(5):
        published += camera.feed(0, ended(0, epoch=4 + acquisition, first_arrival_ns=acquisition), 0)
    for port, key in ((0, 0), (8, 1), (0, 2), (8, 3)):
        published += camera.feed(port, ended(key, epoch=9 if port == 0 else 4, first_arrival_ns=10), 0)
    assert keys(published) == [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (5, 1), (5, 2), (5, 3)]
    assert camera.n_unused() == {2: 0}


def test_port_whose_first_frame_after_the_restart_was_lost_joins_with_the_next(camera):
    for port, key in ((0, 0), (8, 1)):
        camera.feed(port, ended(key, first_arrival_ns=key), 0)
    published = []
    for port, key, epoch in ((0, 0, 5), (0, 2, 5), (8, 3, 4), (0, 4, 5)):
        published += camera.feed(port, ended(key, epoch=epoch, first_arrival_ns=10 + key), 0)
    published += camera.poll(1000)
    assert keys(published) == [(1, 0), (1, 2), (1, 3), (1, 4)]
    assert camera.n_unused() == {2: 0}


def test_frame_that_arrived_before_the_other_port_saw_the_restart_is_not_taken_for_a_new_one(camera):
    for port, key in ((0, 0), (8, 1)):
        camera.feed(port, ended(key, first_arrival_ns=key), 0)
    camera.feed(0, ended(0, epoch=5, first_arrival_ns=10), 0)
    assert camera.feed(8, ended(3, first_arrival_ns=9), 0) == []
    assert camera.n_unused() == {2: 1}


def test_frame_that_a_modules_other_port_still_had_from_before_the_restart_is_counted_and_dropped(camera):
    camera.feed(0, ended(900, first_arrival_ns=1), 0)
    camera.feed(8, ended(901, first_arrival_ns=2), 0)
    assert keys(camera.feed(0, ended(0, epoch=5, first_arrival_ns=10), 0)) == [(1, 0)]
    assert camera.feed(8, ended(903, first_arrival_ns=3), 0) == []
    assert camera.feed(8, ended(905, first_arrival_ns=12), 0) == []
    assert camera.n_unused() == {2: 2}
    assert keys(camera.feed(8, ended(1, epoch=5, first_arrival_ns=20), 0)) == [(1, 1)]


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


def feed_all(announcer: FrameAnnouncer, key_of: dict[int, int], now_ns: int, **changes: Any) -> list[Any]:
    """Feed one frame of each module, with the frame number that the module gives it."""
    return [
        raw
        for module, key in key_of.items()
        for raw in announcer.feed(
            module, ended(key, first_arrival_ns=now_ns, last_arrival_ns=now_ns, **changes), now_ns
        )
    ]


def test_module_that_jumps_ahead_alone_is_missing_and_named_and_the_others_lose_nothing():
    announcer = FrameAnnouncer({0: 0, 1: 1, 2: 2}, window=64, timeout_ns=1000, last=None)
    published = []
    for key in range(100, 160):
        odd = key + 4880 if key >= 120 else key
        published += feed_all(announcer, {0: key, 1: odd, 2: key}, 200 * key, epoch=5 if key >= 120 else 4)
        published += announcer.poll(200 * key + 100)
    assert keys(published) == [(0, key) for key in range(100, 160)]
    statuses = [int(raw["status"][0]) for raw in published]
    assert statuses[:20] == [ImageStatus.GOOD] * 20
    assert all(status & ImageStatus.MISSING_MODULES for status in statuses[20:])
    assert statuses[-30:] == [ImageStatus.MISSING_MODULES | ImageStatus.RENUMBERED] * 30
    assert announcer.frames_ahead() == {1: 4880}
    assert announcer.n_renumbered()[1] > 30
    assert announcer.n_unused() == {0: 0, 1: 0, 2: 0}


def test_module_whose_numbers_fit_again_is_used_again():
    announcer = FrameAnnouncer({0: 0, 1: 1, 2: 2}, window=64, timeout_ns=1000, last=None)
    published = []
    for key in range(100, 160):
        odd = key - 99 if 120 <= key < 140 else key
        epoch = 4 + (key >= 120) + (key >= 140)
        published += announcer.feed(0, ended(key), 200 * key)
        published += announcer.feed(1, ended(odd, epoch=epoch), 200 * key)
        published += announcer.feed(2, ended(key), 200 * key)
        published += announcer.poll(200 * key + 100)
        if key == 139:
            assert announcer.frames_ahead() == {1: -99}
    assert keys(published) == [(0, key) for key in range(100, 160)]
    assert [int(raw["status"][0]) for raw in published[-19:]] == [ImageStatus.GOOD] * 19
    assert announcer.frames_ahead() == {}
