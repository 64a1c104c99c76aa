from typing import Any

import pytest

from std_daq.protocols.image_metadata import ImageStatus
from std_udp_recv.announcer import FrameAnnouncer
from std_udp_recv.port_receiver import EndedFrame


def announcer(n_modules: int = 2, last: tuple[int, int] | None = None, ring_epoch: int = 7) -> FrameAnnouncer:
    return FrameAnnouncer(
        range(n_modules), window=8, timeout_ns=1000, ring_epoch=ring_epoch, last=last, is_alternating=False
    )


def frame(key: int, **changes: Any) -> EndedFrame:
    values = {
        "key": key,
        "epoch": 7,
        "id": key,
        "pulse_id": 0,
        "daq_rec": 0,
        "timestamp": 0,
        "first_arrival_ns": 100 + key,
        "last_arrival_ns": 200 + key,
        "n_missing_packets": 0,
    }
    return EndedFrame(**{**values, **changes})


def test_exposure_is_announced_when_all_modules_have_it() -> None:
    announcing = announcer()
    assert announcing.feed(0, frame(1, first_arrival_ns=5), 0) == []
    (raw,) = announcing.feed(1, frame(1, last_arrival_ns=900), 0)
    assert (raw["id"][0], raw["frame_index"][0], raw["status"][0]) == (1, 1, ImageStatus.GOOD)
    assert (raw["first_arrival_ns"][0], raw["last_arrival_ns"][0]) == (5, 900)


def test_module_that_does_not_come_is_given_up_at_the_time_limit_and_counted() -> None:
    announcing = announcer()
    announcing.feed(0, frame(1, n_missing_packets=3), 0)
    assert announcing.poll(999) == []
    (raw,) = announcing.poll(1000)
    assert raw["n_missing_modules"][0] == 1
    assert raw["status"][0] == ImageStatus.MISSING_PACKETS | ImageStatus.MISSING_MODULES


def test_modules_that_disagree_about_the_id_are_flagged() -> None:
    announcing = announcer()
    announcing.feed(0, frame(1, id=10), 0)
    (raw,) = announcing.feed(1, frame(1, id=11), 0)
    assert raw["status"][0] == ImageStatus.ID_MISMATCH


@pytest.mark.parametrize(
    ("last", "first_key", "epoch"),
    [(None, 40, 0), ((3, 39), 40, 3), ((3, 39), 90, 3), ((3, 39), 39, 4), ((3, 39), 1, 4)],
)
def test_restarted_receiver_goes_on_in_the_epoch_unless_the_detector_restarted_too(
    last: tuple[int, int] | None, first_key: int, epoch: int
) -> None:
    announcing = announcer(n_modules=1, last=last)
    (first,) = announcing.feed(0, frame(first_key), 0)
    (restarted,) = announcing.feed(0, frame(1, epoch=8), 0)
    assert (first["epoch"][0], restarted["epoch"][0]) == (epoch, epoch + 1)
