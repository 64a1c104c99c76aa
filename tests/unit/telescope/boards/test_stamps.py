"""Stamps of packets in the metadata of images, against the pure Python of the headers."""

import numpy as np
import pytest

from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.telescope.boards.stamps import header_of_entries, module_of_entries, own_columns, stamps_of_entries
from std_daq.telescope.pff.header import PACKET_FIELDS, PacketStamp, check_header, first_stamp
from std_daq.telescope.pff.product import PRODUCTS

SECOND = 1_721_882_092


def entries(*boards: tuple[int, int, int, int, int] | None, n_boards: int) -> np.ndarray:
    """Return the ModuleEntry of boards with module * 4 + quarter, number, TAI second, nanosecond, arrival."""
    made = np.zeros(len(boards), MODULE_ENTRY)
    for entry, board in zip(made, boards, strict=True):
        if board is not None:
            address, number, tai, nsec, arrival_ns = board
            entry["module_id"], entry["daq_rec"] = address, 1 | 1 << 8 | number << 16
            entry["timestamp"], entry["first_arrival_ns"] = tai << 32 | nsec, arrival_ns
    return made.reshape(-1, n_boards)


def test_header_of_a_single_board_has_all_numbers_of_its_packet() -> None:
    of = entries((254 * 4 + 2, 65535, 529, 691_007_488, SECOND * 10**9 + 691_344_999), n_boards=1)
    header = header_of_entries(of[0], PRODUCTS["ph256"])
    assert header == {
        "quabo_num": 2,
        "pkt_num": 65535,
        "pkt_tai": 529,
        "pkt_nsec": 691_007_488,
        "tv_sec": SECOND,
        "tv_usec": 691_344,
    }
    check_header(header, PRODUCTS["ph256"])
    assert module_of_entries(of).tolist() == [254]


def test_unsynchronised_nanoseconds_are_capped_and_seconds_have_ten_bits() -> None:
    of = entries((4, 1, 1024 + 5, 4_000_000_000, SECOND * 10**9), n_boards=1)
    stamps = stamps_of_entries(of)
    assert (stamps["pkt_tai"][0, 0], stamps["pkt_nsec"][0, 0]) == (5, 999_999_999)


def test_a_missing_board_has_zeros_and_the_module_of_the_others() -> None:
    of = entries(None, *((300 * 4 + q, 7, 1, 2, SECOND * 10**9) for q in (1, 2, 3)), n_boards=4)
    header = header_of_entries(of[0], PRODUCTS["img16"])
    check_header(header, PRODUCTS["img16"])
    assert header["quabo_0"] == dict.fromkeys(PACKET_FIELDS, 0)
    assert header["quabo_3"]["pkt_num"] == 7
    assert module_of_entries(of).tolist() == [300]


@pytest.mark.parametrize("late_s", [-2, -1, 0, 1, 2, 500])
def test_times_in_files_are_those_of_the_headers(late_s: int) -> None:
    tai = (SECOND + 37) % 1024
    of = entries((4, 1, tai, 500_000_000, (SECOND + late_s) * 10**9 + 123_456_789), n_boards=1)
    rows = own_columns().compute(of)
    stamp = first_stamp(header_of_entries(of[0], PRODUCTS["ph256"]))
    assert rows["received_ns"].tolist() == [stamp.received_ns]
    assert rows["white_rabbit_ns"].tolist() == [stamp.white_rabbit_ns]
    assert stamp == PacketStamp(*(int(rows[name][0, 0]) for name in PACKET_FIELDS))
    assert (stamp.white_rabbit_ns == 0) == (abs(late_s) > 1)


def test_computed_rows_have_the_declared_types_and_shapes() -> None:
    of = entries(*((4 + q, 7, 1, 2, SECOND * 10**9) for q in range(4)), n_boards=4)
    described, rows = own_columns(), own_columns().compute(of)
    assert rows.keys() == described.columns.keys()
    for name, column in described.columns.items():
        assert rows[name].dtype == column.dtype, name
        assert rows[name].shape == ((1, 4) if column.is_per_module else (1,)), name
