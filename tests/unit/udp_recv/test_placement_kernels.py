"""One case for each thing that can happen to a packet; compiled, and as plain Python."""

import sys

import numpy as np
import pytest

from std_udp_recv.records import MIN_QUARANTINED, QUEUE_LENGTH

pytestmark = pytest.mark.usefixtures("each_way")


def keys(rig) -> list[int]:
    return [record[0] for record in rig.ended()]


def epochs(rig) -> list[int]:
    return [record[1] for record in rig.ended()]


def frame(rig, key: int) -> list[bytes]:
    return [rig.packet(key, unit, fill=10 * key + unit + 1) for unit in range(6)]


def test_packets_in_order_are_received_in_their_place(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0))
    displaced = rig.count("displaced")
    rig.deliver(frame(rig, 1) + frame(rig, 2))
    assert keys(rig) == [0, 1, 2]
    assert rig.count("displaced") == displaced


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("foreign_detector", {"detector": 1}),
        ("foreign_version", {"version": 1}),
        ("foreign_module", {"identity": 6}),
        ("unit_out_of_range", {"unit": 6}),
        ("implausible", {"key": 2**63}),
        ("implausible", {"key": 2**63 - 1}),
    ],
)
def test_packet_that_is_refused_is_counted_and_places_nothing(make_rig, reason, changes):
    rig = make_rig()
    rig.deliver(frame(rig, 0) + frame(rig, 1)[:2])
    before = rig.ring.headers[rig.index(1)].copy()
    rig.deliver([rig.packet(**{"key": 1, "unit": 2, **changes})])
    assert rig.refusals() == {reason: 1}
    assert rig.ring.headers[rig.index(1)] == before


@pytest.mark.parametrize("datagram", [b"", b"x", bytes(16), bytes(39), bytes(41), bytes(64), bytes(9000)])
def test_datagram_of_another_length_is_counted(make_rig, datagram):
    rig = make_rig()
    rig.deliver([datagram])
    assert rig.refusals() == {"wrong_length": 1}


def test_frame_tells_the_header_fields_of_the_packet_that_came_first(make_rig):
    rig = make_rig(has_timestamp=True)
    rig.deliver([frame(rig, 3)[unit] for unit in (2, 0, 1, 3, 4, 5)])
    header = rig.ring.headers[rig.ring.index(3, 1)]
    told = [int(header[name]) for name in ("timestamp", "exposure_length", "daq_rec", "storage_cell")]
    assert told == [3, 2, 5 | 7 << 16 | 2 << 24, 7]


@pytest.mark.long
def test_missing_units_are_zero_and_known(make_rig):
    rig = make_rig()
    rig.deliver([frame(rig, 0)[unit] for unit in (0, 1, 3, 5)])
    rig.end()
    header = rig.ring.headers[rig.index(0)]
    pixels = rig.ring.frame(rig.index(0)).reshape(6, 24)
    assert int(header["received"][0]) == 0b101011
    assert int(header["n_missing_packets"]) == rig.count("lost") == 2
    assert [bool(row.any()) for row in pixels] == [True, True, False, True, False, True]


def test_frame_of_which_nothing_came_is_lost_and_its_slot_is_not_valid(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0) + frame(rig, 2) + frame(rig, 5))
    assert keys(rig) == [0, 2]
    assert rig.count("lost") == 6  # frame 1; 3 and 4 may still come
    rig.end()
    assert keys(rig) == [0, 2, 5]
    assert int(rig.ring.headers[rig.index(1)]["frame_index"]) != 1


def test_complete_frame_is_announced_after_an_earlier_one_that_is_not(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0) + frame(rig, 1)[:5] + frame(rig, 2) + frame(rig, 3))
    assert keys(rig) == [0]
    rig.deliver(frame(rig, 4))
    assert keys(rig) == [0, 1, 2, 3, 4]


def test_frames_that_waited_are_announced_as_soon_as_the_earlier_one_is_complete(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0) + frame(rig, 1)[:5] + frame(rig, 2))
    rig.deliver(frame(rig, 1)[5:])
    assert keys(rig) == [0, 1, 2]


def test_one_foreign_sender_changes_nothing_and_a_new_board_is_learned(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0))
    rig.deliver([rig.packet(1, unit, identity=9) for unit in range(5)])
    rig.deliver(frame(rig, 1))
    assert keys(rig) == [0, 1]
    assert rig.refusals() == {"foreign_module": 5}
    rig.deliver([rig.packet(2, unit, identity=9) for unit in range(6)])
    rig.deliver([rig.packet(3, unit, identity=9) for unit in range(6)])
    rig.end()
    assert keys(rig) == [0, 1, 3]
    assert rig.refusals() == {"foreign_module": 11}


def test_restart_loses_nothing(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 500) + frame(rig, 501)[:3])
    rig.deliver([packet for key in range(4) for packet in frame(rig, key)])
    assert keys(rig) == [500, 501, 0, 1, 2, 3]
    assert epochs(rig) == [1, 1, 2, 2, 2, 2]
    assert rig.refusals() == {}
    assert rig.count("restarts") == 1


def test_parts_of_frames_from_elsewhere_are_refused_when_the_next_frame_fits(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 500))
    rig.deliver([packet for key in (3, 4) for packet in frame(rig, key)[:3]] + [rig.packet(9000, 0)])
    rig.deliver(frame(rig, 501))
    assert keys(rig) == [500, 501]
    assert rig.refusals() == {"late": 6, "implausible": 1}


def test_late_packets_that_were_in_place_do_not_get_into_the_epoch_of_a_restart(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 10)[:1])
    # The first ends frame 10, for which the rows are aimed; the others lie right in their places there.
    rig.deliver([rig.packet(13, 0), *frame(rig, 10)[2:]])
    rig.deliver(frame(rig, 9) + frame(rig, 10))
    assert rig.count("restarts") == 1
    assert rig.refusals() == {"late": 4}
    rig.end()
    assert list(zip(epochs(rig), keys(rig), strict=True)) == [(1, 10), (1, 13), (2, 9), (2, 10)]
    sent = b"".join(packet[16:] for packet in frame(rig, 10))
    assert rig.ring.frame(rig.index(10)).tobytes() == sent


def test_one_packet_from_far_ahead_ends_no_frame(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0) + frame(rig, 1)[:3] + [rig.packet(20, 0)] + frame(rig, 1)[3:] + frame(rig, 2))
    assert keys(rig) == [0, 1, 2]
    assert rig.refusals() == {"implausible": 1}
    assert rig.count("lost") == 0


def test_frames_behind_a_gap_belong_to_the_same_epoch_and_the_gap_is_lost(make_rig):
    rig = make_rig()
    rig.deliver([packet for key in (0, 1, 50, 51, 52, 53) for packet in frame(rig, key)])
    rig.end()
    assert list(zip(epochs(rig), keys(rig), strict=True)) == [(1, key) for key in (0, 1, 50, 51, 52, 53)]
    assert rig.count("lost") == 48 * 6
    assert rig.refusals() == {}
    assert rig.count("restarts") == 0


def test_frames_with_a_gap_before_each_of_them_are_all_placed(make_rig):
    rig = make_rig()
    numbers = [20 * i for i in range(20)]
    rig.deliver([packet for key in numbers for packet in frame(rig, key)[:2]])
    rig.end()
    assert keys(rig) == numbers
    assert set(epochs(rig)) == {1}
    assert rig.refusals() == {}


def test_gap_of_which_few_packets_tell_ends_with_the_pause(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0) + frame(rig, 50)[:3])
    rig.end()
    rig.deliver(frame(rig, 90))
    rig.end()
    assert list(zip(epochs(rig), keys(rig), strict=True)) == [(1, 0), (1, 50), (1, 90)]
    assert rig.count("lost") == 49 * 6 + 3 + 39 * 6


def test_senseless_first_number_costs_nothing_of_what_follows(make_rig):
    rig = make_rig()
    rig.deliver([rig.packet(2**63 - 1, 0), rig.packet(2**62, 0)])
    rig.deliver([packet for key in range(4) for packet in frame(rig, key)])
    assert keys(rig) == [0, 1, 2, 3]
    assert rig.refusals() == {"implausible": 2}


def test_keys_that_have_nothing_to_do_with_each_other_are_no_restart(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 500))
    rig.deliver([rig.packet(10**6 * (i + 1), 0) for i in range(MIN_QUARANTINED)])
    assert rig.refusals() == {"implausible": MIN_QUARANTINED}
    assert rig.count("restarts") == 0


def test_no_slot_is_taken_in_advance_in_a_pause(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0))
    rig.aim()
    assert (rig.ring.generations % 2).any()
    rig.end()
    rig.aim()
    assert not (rig.ring.generations % 2).any()


def test_same_number_after_a_pause_is_a_new_acquisition(make_rig):
    rig = make_rig()
    for _ in range(3):
        rig.deliver(frame(rig, 1))
        rig.end()
    assert keys(rig) == [1, 1, 1]
    assert epochs(rig) == [1, 2, 3]
    assert rig.refusals() == {}


def test_late_part_of_a_frame_is_no_new_acquisition(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 1)[:4])
    rig.end()
    rig.deliver(frame(rig, 1)[4:] + frame(rig, 2))
    assert epochs(rig) == [1, 1]
    assert rig.refusals() == {"late": 2}


def test_ports_of_one_module_take_their_own_frames_only(make_rig):
    rig = make_rig(key_step=2)
    rig.deliver(frame(rig, 10) + frame(rig, 12) + frame(rig, 13)[:2] + frame(rig, 14))
    assert keys(rig) == [10, 12, 14]
    assert rig.refusals() == {"implausible": 2}


def test_port_that_gets_the_other_ports_frames_for_good_goes_on_with_them(make_rig):
    rig = make_rig(key_step=2)
    rig.deliver([packet for key in (10, 12, 25, 27, 29, 31) for packet in frame(rig, key)])
    rig.end()
    assert keys(rig) == [10, 12, 25, 27, 29, 31]
    assert rig.refusals() == {}


def test_slot_that_the_other_port_is_writing_is_left_alone(make_rig):
    rig = make_rig(key_step=2)
    rig.deliver(frame(rig, 10)[:5])
    index = rig.index(14)
    generation = rig.ring.begin(index)
    rig.deliver(frame(rig, 14))
    assert rig.refusals() == {"slot_taken": 6}
    assert rig.ring.generation(index) == generation
    rig.ring.end(index)


def test_main_thread_that_does_not_read_holds_up_nothing(make_rig):
    rig = make_rig()
    n = QUEUE_LENGTH
    rig.port.n_queued[0] = n
    rig.deliver(frame(rig, 0))
    assert rig.count("frames_complete") == rig.count("frames_unannounced") == 1
    assert int(rig.port.n_queued[0]) == n


def test_calls_from_python_keep_no_references(make_rig):
    rig = make_rig()
    rig.deliver(frame(rig, 0))
    before = [sys.getrefcount(array) for array in rig.port]
    for key in range(1, 50):
        rig.deliver(frame(rig, key))
    assert np.array_equal(before, [sys.getrefcount(array) for array in rig.port])


@pytest.mark.parametrize("units_per_packet", [0, 1, 3])
def test_layout_knows_the_lengths_that_are_not_refused(make_rig, units_per_packet):
    for n_bytes in range(140):
        rig = make_rig(units_per_packet=units_per_packet)
        datagram = (rig.packet(0, 0, count=1) + bytes(140))[:n_bytes]
        rig.deliver([datagram])
        assert rig.layout.has_length(n_bytes) is (rig.refusals() == {})


def test_frames_for_this_server_alone_are_consecutive_and_each_phase_of_them_is_taken(make_rig, each_way):
    """A detector that sends to four servers in turn begins an acquisition with any of them."""
    rig = make_rig(n_units=2, key_step=4)
    first = [key for key in range(1, 40, 4) if key != 21]
    second = list(range(42, 80, 4))
    for key in first:
        rig.deliver([rig.packet(key, unit, fill=key) for unit in range(2)])
    rig.end()
    for key in second:
        rig.deliver([rig.packet(key, unit, fill=key) for unit in range(2)])
    rig.end()
    assert [frame[0] for frame in rig.ended()] == [*first, *second]
    assert rig.count("lost") == 2  # the packets of frame 21
    assert not rig.refusals()


def test_packets_count_from_the_first_unit_that_a_frame_has(make_rig, each_way):
    """Partial readout: only units 56 to 61 exist, under these numbers."""
    rig = make_rig(first_unit=56)
    units = [57, 56, 61, 58, 60, 59]
    rig.deliver([rig.packet(7, unit, fill=unit) for unit in units])
    rig.deliver([rig.packet(8, unit, fill=unit) for unit in range(56, 62)])
    rig.deliver([rig.packet(9, unit) for unit in (55, 62, 0)])
    rig.end()
    for key in (7, 8):
        pixels = rig.ring.frame(rig.ring.index(key, 1)).tobytes()
        assert pixels == b"".join(rig.packet(key, unit, fill=unit)[16:] for unit in range(56, 62))
    assert rig.count("frames_complete") == 2
    assert rig.refusals() == {"unit_out_of_range": 3}


def test_numbers_that_wrap_while_frames_are_lost_go_on_in_the_same_epoch(make_rig):
    rig = make_rig(key_mask=2**8 - 1)
    for key in (254, 255, 260, 261):
        rig.deliver([rig.packet(key % 256, unit) for unit in range(6)])
    rig.end()
    assert list(zip(epochs(rig), keys(rig), strict=True)) == [(1, 254), (1, 255), (1, 260), (1, 261)]
    assert [record[2] for record in rig.ended()] == [254, 255, 260, 261]
    assert rig.count("lost") == 4 * 6
    assert rig.refusals() == {}


def test_late_packet_from_before_the_wrap_completes_its_frame(make_rig):
    rig = make_rig(key_mask=2**8 - 1)
    rig.deliver([rig.packet(255, unit) for unit in range(5)])
    rig.deliver([rig.packet(0, unit) for unit in range(6)] + [rig.packet(255, 5)])
    assert keys(rig) == [255, 256]
    assert rig.count("frames_complete") == 2


def test_restart_behind_a_wrap_counts_from_its_own_numbers(make_rig):
    rig = make_rig(key_mask=2**8 - 1)
    rig.deliver([rig.packet(key % 256, unit) for key in range(254, 262) for unit in range(6)])
    rig.deliver([rig.packet(key, unit) for key in (1, 2) for unit in range(6)])
    rig.end()
    assert list(zip(epochs(rig), keys(rig), strict=True))[-2:] == [(2, 1), (2, 2)]
    assert rig.refusals() == {}


def test_port_that_begins_behind_the_wrap_of_the_others_counts_as_they_do(make_rig):
    rig = make_rig(key_mask=2**8 - 1, published=3 * 256 + 7)
    rig.deliver([rig.packet(9, unit) for unit in range(6)])
    assert keys(rig) == [3 * 256 + 9]


@pytest.mark.parametrize("key_step", [1, 2])
def test_short_series_that_all_begin_with_1_use_the_whole_ring(make_rig, key_step):
    rig = make_rig(key_step=key_step)
    n_series = rig.ring.n_slots // key_step // 2
    for series in range(n_series):
        for number in (1, 1 + key_step):
            rig.deliver([rig.packet(number, unit, fill=1 + series) for unit in range(6)], now_ns=1000 * series)
    assert len(rig.ended()) == 2 * n_series
    for series in range(n_series):
        for number in (1, 1 + key_step):
            index, _ = rig.ring.find(number, 1, 1000 * series, 1000 * series)
            sent = b"".join(rig.packet(number, unit, fill=1 + series)[16:] for unit in range(6))
            assert rig.ring.frame(index).tobytes() == sent


def test_series_of_one_image_that_all_lack_their_last_packet_are_kept_apart(make_rig):
    rig = make_rig()
    for series in range(4):
        n = 6 if series == 3 else 5
        rig.deliver([rig.packet(1, unit, fill=series + 1) for unit in range(n)], now_ns=1000 * series)
    rig.end()
    assert list(zip(epochs(rig), keys(rig), strict=True)) == [(1, 1), (2, 1), (3, 1), (4, 1)]
    assert [record[-2] for record in rig.ended()] == [1, 1, 1, 0]
    assert rig.refusals() == {}


@pytest.mark.parametrize("batch", [1, 3, 128])
def test_packet_received_in_place_that_shows_a_restart_is_in_the_new_series(make_rig, batch):
    """Most of frame 1 and nothing of frame 2 comes of the new series, and frame 3 would follow the old one."""
    rig = make_rig()
    rig.deliver(frame(rig, 1) + frame(rig, 2))
    rig.deliver([rig.packet(1, unit, fill=50 + unit) for unit in range(4)], batch)
    packets = [rig.packet(3, unit, fill=70 + unit) for unit in range(6)]
    rig.deliver(packets, batch)
    rig.end()
    assert list(zip(epochs(rig), keys(rig), strict=True)) == [(1, 1), (1, 2), (2, 1), (2, 3)]
    assert rig.ring.frame(rig.index(3)).tobytes() == b"".join(packet[16:] for packet in packets)
    assert rig.refusals() == {}
