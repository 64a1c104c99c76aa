"""Whose packets a port believes; compiled, and as plain Python."""

from ipaddress import IPv4Address

import pytest

from std_udp_recv.port import address_of, sender_of
from std_udp_recv.records import SILENCE_NS, STRANGER_SILENCE_NS

pytestmark = pytest.mark.usefixtures("each_way")

OWN, OTHER, THIRD = (sender_of(IPv4Address(f"10.0.0.{i}")) for i in (1, 2, 200))
MS, S = 10**6, 10**9


def frame(rig, key: int, fill: int = 1, units: range = range(6), identity: int = 5) -> list[bytes]:
    return [rig.packet(key, unit, fill=fill + unit, identity=identity) for unit in units]


def keys(rig) -> list[int]:
    return [record[0] for record in rig.ended()]


def pixels(rig, key: int) -> bytes:
    return rig.ring.frame(rig.index(key)).tobytes()


def payload(packets: list[bytes]) -> bytes:
    return b"".join(packet[16:] for packet in packets)


def believed(rig) -> set[str]:
    return {address_of(rig.port, sender) for sender in rig.port.believed[: int(rig.port.state.n_believed)]}


def run(rig, first: int, n: int, *, at_ns: int, period_ns: int = 10 * MS, sender: int = OWN) -> int:
    """Deliver frames; return the time of the next one."""
    for index in range(n):
        rig.deliver(frame(rig, first + index), now_ns=at_ns + index * period_ns, sender=sender)
    return at_ns + n * period_ns


def test_stranger_that_speaks_first_takes_nothing(make_rig):
    rig = make_rig()
    rig.deliver([rig.packet(7, 0, identity=9), rig.packet(9000, 2, identity=9)], sender=OTHER)
    for key in range(5, 10):
        for packet in frame(rig, key):
            rig.deliver([packet], sender=OWN)
        rig.deliver([rig.packet(key + 1, 3, fill=99, identity=9)], sender=OTHER)
    assert keys(rig) == [5, 6, 7, 8, 9]
    assert believed(rig) == {"10.0.0.1"}
    assert pixels(rig, 8) == payload(frame(rig, 8))
    assert rig.count("restarts") == 0
    assert rig.count("frames_refused") == 0


@pytest.mark.parametrize("n_packets", [1, 3])
def test_packets_that_tell_of_no_frame_begin_nothing(make_rig, n_packets):
    rig = make_rig(n_units=60)
    rig.deliver([rig.packet(500 + i, i) for i in range(n_packets)])
    rig.end()
    assert keys(rig) == []
    rig.deliver([rig.packet(1, unit) for unit in range(60)])
    assert keys(rig) == [1]
    assert rig.refusals() == {"implausible": n_packets}


def singles(rig, *keys: int, sender: int = OWN, at_ns: int = S) -> None:
    """Deliver frames of one packet, with a pause after each."""
    for key in keys:
        rig.deliver([rig.packet(key, 0, fill=key)], now_ns=at_ns, sender=sender)
        rig.pause()


@pytest.mark.parametrize("stray", [OWN, OTHER])
def test_frame_of_one_packet_from_far_ahead_is_not_the_first(make_rig, stray):
    rig = make_rig(n_units=1)
    singles(rig, 5000, 5000, sender=stray)
    singles(rig, 100, 101, 102)
    assert keys(rig) == [100, 101, 102]
    assert believed(rig) == {"10.0.0.1"}
    singles(rig, 9000)
    singles(rig, 103, 104)
    rig.end()
    assert keys(rig) == [100, 101, 102, 103, 104]
    assert set(rig.refusals()) <= {"implausible", "foreign_sender"}
    assert sum(rig.refusals().values()) == 3
    assert rig.count("restarts") == 0


def test_first_frame_of_one_packet_waits_for_the_second_and_is_kept(make_rig):
    rig = make_rig(n_units=1)
    singles(rig, 7)
    assert keys(rig) == []
    singles(rig, 8, 9)
    assert keys(rig) == [7, 8, 9]
    assert pixels(rig, 7) == payload([rig.packet(7, 0, fill=7)])
    assert rig.refusals() == {}


def test_first_frame_of_one_packet_that_stays_alone_is_counted_at_the_end(make_rig):
    rig = make_rig(n_units=1)
    singles(rig, 7)
    rig.end()
    assert keys(rig) == []
    assert rig.refusals() == {"implausible": 1}


def test_frame_of_one_packet_from_a_configured_sender_is_the_first_at_once(make_rig):
    rig = make_rig(n_units=1, senders=["10.0.0.0/30"])
    singles(rig, 5000, sender=THIRD)
    singles(rig, 7)
    assert keys(rig) == [7]
    assert rig.refusals() == {"foreign_sender": 1}


def test_interfaces_that_send_frames_of_one_packet_in_turn_are_both_believed(make_rig):
    rig = make_rig(n_units=1)
    for key in range(1, 9):
        singles(rig, key, sender=(OWN, OTHER)[key % 2], at_ns=S + key * 10 * MS)
    assert keys(rig) == list(range(1, 9))
    assert believed(rig) == {"10.0.0.1", "10.0.0.2"}


def test_series_of_frames_of_one_packet_that_begins_again_is_believed_at_once(make_rig):
    rig = make_rig(n_units=1)
    singles(rig, 1, 2, 3)
    singles(rig, 1)
    assert keys(rig) == [1, 2, 3, 1]
    assert rig.count("restarts") == 1


def test_silent_detector_of_one_packet_a_frame_is_not_restarted_by_one_packet_of_another(make_rig):
    rig = make_rig(n_units=1)
    singles(rig, 1, 2, 3)
    later = S + 2 * SILENCE_NS
    singles(rig, 1, sender=OTHER, at_ns=later)
    assert keys(rig) == [1, 2, 3]
    singles(rig, 4, 5, at_ns=later + S)
    assert keys(rig) == [1, 2, 3, 4, 5]
    assert rig.count("restarts") == 0


@pytest.mark.parametrize("senders", [(OWN,), (OTHER,), (OWN, OTHER)])
def test_single_packets_from_far_ahead_move_no_numbers(make_rig, senders):
    rig = make_rig()
    for index in range(5):
        at_ns = index * S // 3
        rig.deliver(frame(rig, 100 + index), now_ns=at_ns, sender=OWN)
        for part in (1, 2):
            for sender in senders:
                packet = rig.packet(600 + 2 * index + part, part)
                rig.deliver([packet], now_ns=at_ns + part * S // 9, sender=sender)
        rig.end()
    assert keys(rig) == [100, 101, 102, 103, 104]
    assert rig.count("lost") == 0


@pytest.mark.parametrize("n_frames", [1, 3, 20])
def test_second_detector_costs_nothing_however_quickly_it_sends(make_rig, n_frames):
    rig = make_rig()
    at_ns = run(rig, 100, 2, at_ns=S, period_ns=S // 3)
    for index in range(6):
        rig.deliver(frame(rig, 102 + index), now_ns=at_ns, sender=OWN)
        run(rig, 7000 + n_frames * index, n_frames, at_ns=at_ns + MS, period_ns=S // 3 // (n_frames + 1), sender=OTHER)
        rig.end()
        at_ns += S // 3
    assert keys(rig) == list(range(100, 108))
    assert rig.count("restarts") == 0
    assert rig.refusals() == {"foreign_sender": 36 * n_frames}
    assert rig.port.strangers.tolist()[0][:2] == (OTHER, 36 * n_frames)


def test_second_detector_with_the_same_numbers_costs_nothing(make_rig):
    rig = make_rig()
    run(rig, 1, 2, at_ns=S)
    for key in range(3, 9):
        for own, other in zip(frame(rig, key), frame(rig, key, fill=50), strict=True):
            rig.deliver([other], now_ns=S + key * 10 * MS, sender=OTHER)
            rig.deliver([own], now_ns=S + key * 10 * MS, sender=OWN)
    assert keys(rig) == list(range(1, 9))
    assert rig.count("frames_refused") == 0
    for key in range(3, 9):
        assert pixels(rig, key) == payload(frame(rig, key))


def test_wrong_packets_of_a_stranger_mark_no_frame(make_rig):
    rig = make_rig()
    run(rig, 1, 1, at_ns=S)
    wrong = [rig.packet(2, 6), rig.packet(2, 0, count=2), rig.packet(2, 1, identity=6), rig.packet(2, 1)]
    rig.deliver(frame(rig, 2, units=range(3)), now_ns=S + 10 * MS, sender=OWN)
    rig.deliver(wrong, now_ns=S + 10 * MS, sender=OTHER)
    rig.deliver(frame(rig, 2, units=range(3, 6)), now_ns=S + 10 * MS, sender=OWN)
    assert keys(rig) == [1, 2]
    assert rig.count("frames_refused") == 0
    assert rig.refusals() == {"foreign_sender": 4}


def test_detector_that_is_back_with_another_address_goes_on(make_rig):
    rig = make_rig()
    at_ns = run(rig, 1, 3, at_ns=S)
    rig.end()
    run(rig, 1, 3, at_ns=at_ns + SILENCE_NS, sender=OTHER)
    assert keys(rig) == [1, 2, 3, 1, 2, 3]
    assert believed(rig) == {"10.0.0.2"}
    assert rig.refusals() == {}


def test_slow_detector_keeps_its_port_between_its_frames(make_rig):
    rig = make_rig()
    at_ns = run(rig, 1, 3, at_ns=S, period_ns=5 * S)
    rig.end()
    run(rig, 1, 3, at_ns=at_ns, sender=OTHER)
    run(rig, 4, 1, at_ns=at_ns + S)
    assert keys(rig) == [1, 2, 3, 4]
    assert rig.refusals() == {"foreign_sender": 18}


def test_stranger_has_to_wait_for_long_and_the_first_sender_gets_its_port_back(make_rig):
    rig = make_rig()
    at_ns = run(rig, 1, 10, at_ns=S)
    run(rig, 70, 1, at_ns=at_ns, sender=OTHER)
    rig.end()
    run(rig, 71, 1, at_ns=at_ns + STRANGER_SILENCE_NS - S, sender=OTHER)
    assert keys(rig) == list(range(1, 11))
    run(rig, 72, 2, at_ns=at_ns + STRANGER_SILENCE_NS, sender=OTHER)
    rig.end()
    assert keys(rig) == [*range(1, 11), 72, 73]
    run(rig, 11, 2, at_ns=at_ns + STRANGER_SILENCE_NS + S, sender=OWN)
    run(rig, 74, 2, at_ns=at_ns + STRANGER_SILENCE_NS + S, sender=OTHER)
    assert keys(rig) == [*range(1, 11), 72, 73, 11, 12]
    assert believed(rig) == {"10.0.0.1"}


def test_interfaces_that_send_the_packets_of_each_frame_in_turn_are_both_believed(make_rig):
    rig = make_rig()
    for key in range(4):
        for unit, packet in enumerate(frame(rig, key)):
            rig.deliver([packet], now_ns=S + key * 10 * MS, sender=(OWN, OTHER)[unit % 2])
    assert keys(rig) == [0, 1, 2, 3]
    assert believed(rig) == {"10.0.0.1", "10.0.0.2"}
    assert rig.refusals() == {}


def test_interfaces_that_send_frames_in_turn_are_both_believed(make_rig):
    rig = make_rig()
    for key in range(1, 9):
        rig.deliver(frame(rig, key), now_ns=S + key * 10 * MS, sender=(OWN, OTHER)[key % 2])
    assert keys(rig)[:8] == list(range(1, 9))
    assert believed(rig) == {"10.0.0.1", "10.0.0.2"}
    assert rig.refusals() == {}


def test_interface_that_brings_the_half_that_was_missing_is_believed(make_rig):
    rig = make_rig()
    run(rig, 0, 1, at_ns=S)
    for key in range(1, 5):
        at_ns = S + key * 10 * MS
        rig.deliver(frame(rig, key, units=range(3)), now_ns=at_ns, sender=OWN)
        rig.deliver(frame(rig, key, units=range(3, 6)), now_ns=at_ns, sender=OTHER)
    assert keys(rig) == [0, 1, 2, 3, 4]
    assert believed(rig) == {"10.0.0.1", "10.0.0.2"}
    assert rig.count("frames_complete") == 5


def test_interface_that_replaces_another_goes_on_after_a_moment(make_rig):
    rig = make_rig()
    at_ns = run(rig, 0, 10, at_ns=S)
    run(rig, 10, 60, at_ns=at_ns, sender=OTHER)
    rig.end()
    assert keys(rig)[-30:] == list(range(40, 70))
    assert believed(rig) == {"10.0.0.1", "10.0.0.2"}
    assert rig.count("restarts") == 0


def test_configured_senders_are_believed_at_once_and_no_other_ever(make_rig):
    rig = make_rig(senders=["10.0.0.0/30"])
    run(rig, 50, 5, at_ns=S, sender=THIRD)
    at_ns = run(rig, 1, 2, at_ns=S, sender=OWN)
    run(rig, 3, 2, at_ns=at_ns, sender=OTHER)
    rig.end()
    run(rig, 50, 2, at_ns=at_ns + 1000 * S, sender=THIRD)
    assert keys(rig) == [1, 2, 3, 4]
    assert rig.refusals() == {"foreign_sender": 42}


def test_identity_of_one_packet_in_a_frame_keeps_out_no_frame(make_rig):
    """A module was exchanged for one with the same address, and packets of the old one still come now and then."""
    rig = make_rig()
    run(rig, 0, 1, at_ns=S)
    for key in range(1, 8):
        packets = frame(rig, key, identity=9)
        rig.deliver([*packets[:3], rig.packet(key, 0, identity=5), *packets[3:]], now_ns=S + key * 10 * MS, sender=OWN)
    assert keys(rig)[-4:] == [4, 5, 6, 7]
