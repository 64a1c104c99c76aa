"""Whatever comes as a packet of a board is either a packet or has a reason."""

from hypothesis import given
from hypothesis import strategies as st

from std_daq.imaging.reception import REFUSAL_WORDS
from std_daq.telescope.boards import Telescope
from std_test_kit.telescope_boards import board_packet, telescope_config
from std_udp_recv.board_grouper import BoardGrouper
from std_udp_recv.board_packets import BoardPacket, read_packet

LAYOUT = Telescope(telescope_config("img16", modules=(1, 254))).board_layout()
HEADERS = st.binary(min_size=16, max_size=16)


@given(st.binary(max_size=700))
def test_any_bytes_have_a_reason_that_users_are_told(data: bytes) -> None:
    read = read_packet(LAYOUT, data, 0)
    assert isinstance(read, BoardPacket) or read in REFUSAL_WORDS


@given(st.lists(HEADERS, max_size=30))
def test_headers_of_any_content_end_as_images_or_as_counts(headers: list[bytes]) -> None:
    grouper = BoardGrouper(LAYOUT, frozenset(range(4)), window=2, idle_ns=1)
    n_used, n_in_images = 0, 0
    for header in headers:
        data = b"\x02\x01" + header[2:4] + bytes([header[4] % 4 + 4, 0]) + header[6:] + bytes(512)
        read = read_packet(LAYOUT, data, 0)
        assert isinstance(read, BoardPacket)
        n_used += 1
        n_in_images += sum(sum(p is not None for p in event.packets) for event in grouper.feed(read, 0))
    n_in_images += sum(sum(p is not None for p in event.packets) for event in grouper.flush())
    assert n_in_images + grouper.refused.total() == n_used


def test_packet_is_read_field_by_field() -> None:
    data = board_packet("img16", module=254, quarter=3, number=7, tai=1024 + 5, nsec=999)
    read = read_packet(LAYOUT, data, 42)
    assert isinstance(read, BoardPacket)
    assert (read.source, read.board, read.number, read.arrival_ns) == (254, 3, 7, 42)
    assert (read.time_ns, read.module_id) == (5 * 10**9 + 999, 254 * 4 + 3)
    assert read.payload == data[16:]
