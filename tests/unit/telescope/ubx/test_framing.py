"""UBX messages are found in whatever a receiver sends; what lies between them is skipped and counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyubx2 import UBXReader

from std_daq.telescope.ubx.framing import MAX_PAYLOAD_BYTES, SYNC, Framer, FramerCounters, crc24q, make_message

NMEA = b"$GNRMC,035402.00,A,,,,,0.0,,130825,,,D,V*1B\r\n"
MON_VER = make_message(0x0A, 0x04)


def rtcm(payload: bytes) -> bytes:
    head = b"\xd3" + len(payload).to_bytes(2, "big") + payload
    return head + crc24q(head).to_bytes(3, "big")


def messages_of(data: bytes, n_bytes: int = 1) -> tuple[list[bytes], FramerCounters]:
    framer = Framer()
    found = [one for start in range(0, len(data), n_bytes) for one in framer.feed(data[start : start + n_bytes])]
    return found, framer.counters


def test_message_is_that_of_the_reference_and_of_pyubx2() -> None:
    assert make_message(0x27, 0x03) == bytes.fromhex("B5 62 27 03 00 00 2A A5")
    assert UBXReader.parse(make_message(0x27, 0x03), msgmode=2).identity == "SEC-UNIQID"


@pytest.mark.parametrize("n_bytes", [1, 3, 1000])
def test_nmea_rtcm_and_garbage_between_messages_are_skipped_and_counted(n_bytes: int) -> None:
    hidden = rtcm(b"\x43\x50" + MON_VER + b"\0" * 30)
    data = NMEA + MON_VER + b"\x00\xff\xb5" + MON_VER + hidden + NMEA + MON_VER + b"$\x80" + MON_VER
    found, counters = messages_of(data, n_bytes)
    assert found == [MON_VER] * 4
    assert counters == FramerCounters(nmea=2, rtcm=1, damaged=0, skipped_bytes=5)


def test_damaged_message_costs_only_itself() -> None:
    damaged = make_message(0x0D, 0x01, bytes(16)).replace(b"\x10\x00", b"\x10\x01", 1)
    good = make_message(0x0D, 0x01, bytes(range(16)))
    wrong = bytearray(good)
    wrong[9] ^= 1
    found, counters = messages_of(bytes(wrong) + good)
    assert found == [good]
    assert (counters.damaged, counters.skipped_bytes) == (1, len(wrong))
    framer = Framer()
    assert framer.feed(damaged + good + good) == []  # it says that it has 272 bytes
    assert framer.is_waiting
    assert framer.give_up() == [good, good]
    assert framer.counters.damaged == 1


def test_length_that_no_message_has_holds_nothing_up() -> None:
    found, counters = messages_of(SYNC + b"\x01\x07" + (MAX_PAYLOAD_BYTES + 1).to_bytes(2, "little") + MON_VER)
    assert found == [MON_VER]
    assert counters.damaged == 1


def test_giving_up_a_piece_keeps_the_beginning_of_the_next_message() -> None:
    framer = Framer()
    assert framer.feed(SYNC + b"\x01\x07\xff\x00" + MON_VER + MON_VER[:5]) == []
    assert framer.give_up() == [MON_VER]
    assert framer.feed(MON_VER[5:]) == [MON_VER]


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=40))), st.integers(1, 50))
def test_messages_in_pieces_of_any_length_come_out_whole(parts: list[tuple[int, int, bytes]], n_bytes: int) -> None:
    sent = [make_message(*part) for part in parts]
    assert messages_of(b"".join(sent), n_bytes) == (sent, FramerCounters())


@given(st.binary(max_size=300))
def test_garbage_never_raises_and_a_message_behind_it_is_found_in_the_end(garbage: bytes) -> None:
    framer = Framer()
    found = framer.feed(garbage + NMEA.replace(b"$", b"#") + MON_VER)
    while framer.is_waiting:
        found += framer.give_up()
    assert MON_VER in found
