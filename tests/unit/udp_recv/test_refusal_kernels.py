"""Which frames a refused packet marks; compiled, and as plain Python."""

import pytest

from std_udp_recv.records import CLAIM_NS

pytestmark = pytest.mark.usefixtures("each_way")


def frame(rig, key: int, **changes) -> list[bytes]:
    return [rig.packet(key, unit, fill=10 * key + unit + 1, **changes) for unit in range(6)]


def marks(rig) -> dict[int, int]:
    """Number of refused packets of each ended frame, as it was announced."""
    return {ended[0]: ended[-1] for ended in rig.ended()}


def header_mark(rig, key: int) -> int:
    return int(rig.ring.headers[rig.ring.index(key, 1)]["n_refused_packets"])


@pytest.mark.parametrize(
    ("reason", "changes"),
    [("foreign_module", {"identity": 6}), ("unit_out_of_range", {"unit": 6}), ("wrong_length", {"count": 2})],
)
@pytest.mark.parametrize("n_before", [0, 1, 3, 5])
def test_packet_that_is_refused_marks_the_open_frame_that_it_claims(make_rig, reason, changes, n_before):
    rig = make_rig()
    refused = rig.packet(**{"key": 1, "unit": 5, **changes})
    rig.deliver([*frame(rig, 0), *frame(rig, 1)[:n_before], refused, *frame(rig, 1)[n_before:], *frame(rig, 2)])
    rig.end()
    assert rig.refusals() == {reason: 1}
    assert marks(rig) == {0: 0, 1: 1, 2: 0}
    assert rig.count("frames_complete") == 3
    assert rig.count("frames_refused") == 1


@pytest.mark.parametrize("changes", [{"detector": 1}, {"version": 1}, {"key": 40}, {"key": 2**63}])
def test_packet_that_is_not_of_this_detector_or_of_no_frame_here_marks_none(make_rig, changes):
    rig = make_rig()
    stranger = rig.packet(**{"key": 1, "unit": 2, **changes})
    rig.deliver([*frame(rig, 0), stranger, *frame(rig, 1), b"", b"garbage", bytes(400), *frame(rig, 2)])
    rig.end()
    assert sum(rig.refusals().values()) == 4
    assert marks(rig) == {0: 0, 1: 0, 2: 0}


def test_packets_behind_the_last_of_a_frame_mark_it_although_it_has_ended_and_the_next(make_rig):
    rig = make_rig()
    surplus = [rig.packet(0, unit) for unit in range(6, 12)]
    rig.deliver([*frame(rig, 0), *surplus, *frame(rig, 1), *frame(rig, 2), *frame(rig, 3)], batch=4)
    assert header_mark(rig, 0) == 6
    assert marks(rig) == {0: 0, 1: 1, 2: 0, 3: 0}


def test_frames_of_twice_the_packets_are_all_marked_but_perhaps_the_first(make_rig):
    rig = make_rig()
    for key in range(4):
        rig.deliver([rig.packet(key, unit, fill=unit + 1) for unit in range(12)], batch=4)
    assert [n > 0 for n in marks(rig).values()] == [False, True, True, True]
    assert [header_mark(rig, key) for key in range(4)] == [6, 6, 6, 6]


def test_surplus_packets_before_a_pause_do_not_mark_the_first_frame_after_it(make_rig):
    rig = make_rig()
    rig.deliver([*frame(rig, 0), rig.packet(0, 7)], now_ns=1_000)
    rig.end()
    rig.deliver(frame(rig, 1), now_ns=2_000)
    assert marks(rig) == {0: 0, 1: 0}


def test_claim_of_the_same_number_in_an_earlier_series_marks_nothing(make_rig):
    rig = make_rig()
    rig.deliver([rig.packet(1, 9), *frame(rig, 5)], now_ns=1_000)
    rig.end()
    rig.deliver(frame(rig, 1), now_ns=2_000)
    rig.end()
    assert marks(rig) == {5: 0, 1: 0}


def test_claim_is_forgotten_after_a_while(make_rig):
    rig = make_rig()
    rig.deliver([rig.packet(0, 0, count=2)], now_ns=1_000)
    rig.deliver(frame(rig, 0), now_ns=1_002 + CLAIM_NS)
    assert marks(rig) == {0: 0}


@pytest.mark.parametrize(("fill", "n"), [(4, 0), (5, 1)])
def test_packet_that_comes_twice_marks_its_frame_if_its_pixels_differ(make_rig, fill, n):
    rig = make_rig()
    rig.deliver([*frame(rig, 0)[:5], rig.packet(0, 3, fill=fill), frame(rig, 0)[5]], batch=3)
    assert marks(rig) == {0: n}
    rig.end()
    assert rig.refusals() == {"duplicate": 1}
    assert header_mark(rig, 0) == n
    assert rig.count("frames_refused") == n


@pytest.mark.parametrize(("fill", "n"), [(15, 0), (16, 1)])
def test_packet_that_comes_twice_behind_a_loss_marks_its_frame_if_its_pixels_differ(make_rig, fill, n):
    """The second packet lies where unit 4 was expected, and the first one has to go there."""
    rig = make_rig()
    first = frame(rig, 1)
    rig.deliver(frame(rig, 0))
    rig.deliver([*first[:3], first[4], rig.packet(1, 4, fill=fill), first[5]])
    rig.end()
    assert marks(rig) == {0: 0, 1: n}
    assert rig.ring.frame(rig.index(1))[4 * 24 : 5 * 24].tobytes() == first[4][16:]


def test_packet_that_comes_too_late_marks_nothing_because_its_frame_lacks_it(make_rig):
    rig = make_rig()
    rig.deliver([*frame(rig, 0)[:5], *(packet for key in range(1, 6) for packet in frame(rig, key)), frame(rig, 0)[5]])
    assert rig.refusals() == {} or rig.refusals() == {"late": 1}
    rig.end()
    assert set(marks(rig).values()) == {0}
    assert rig.count("frames_incomplete") == 1


@pytest.mark.parametrize("batch", [1, 3, 128])
def test_packet_of_another_pulse_is_not_mixed_into_a_frame(make_rig, batch):
    rig = make_rig(has_pulse_id=True)
    packets = frame(rig, 0, pulse_id=8)
    packets[3] = rig.packet(0, 3, fill=99, pulse_id=9)
    rig.deliver([*packets, *frame(rig, 1, pulse_id=9)], batch=batch)
    rig.end()
    assert rig.refusals() == {"other_exposure": 1}
    assert marks(rig) == {0: 1, 1: 0}
    assert not rig.ring.frame(rig.ring.index(0, 1))[3 * 24 : 4 * 24].any()


@pytest.mark.parametrize("pulse_ids", [(0, 0), (0, 7), (7, 0)])
def test_packets_without_pulse_id_fit_all_others(make_rig, pulse_ids):
    rig = make_rig(has_pulse_id=True)
    first, second = (frame(rig, 0, pulse_id=pulse_id) for pulse_id in pulse_ids)
    rig.deliver([*first[:3], *second[3:]])
    assert rig.refusals() == {}
    assert marks(rig) == {0: 0}
