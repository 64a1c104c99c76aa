"""The stamps of a telescope's packets, as they are in the metadata of an image, in PFF headers, and in files. Pure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.protocols.own_columns import OwnColumn, OwnColumns
from std_daq.telescope.pff.header import PACKET_FIELDS, TAI_MODULUS, Header
from std_daq.telescope.pff.header_columns import received_ns, white_rabbit_ns
from std_daq.telescope.pff.product import Product

MAX_NSEC = 999_999_999
_NS_IN_S = 1_000_000_000
_NUMBER_SHIFT, _NUMBER_MASK = 16, 2**16 - 1  # of the recording word, which begins with mode, version and number
_TAI_SHIFT, _NSEC_MASK = 32, 2**32 - 1  # of the time stamp
_QUARTER_MASK, _MODULE_SHIFT = 3, 2  # of the number of a board
_I8 = np.dtype("<i8")


def time_stamp(tai: int, nsec: int) -> int:
    """Return the two numbers of the board's time as one, as it is in the metadata of frames and images."""
    return tai << _TAI_SHIFT | nsec


def stamps_of_entries(entries: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return `PACKET_FIELDS` and ``quabo_num`` of each board, given its ModuleEntry; 0 of a board that is missing."""
    n_boards = entries.shape[-1]
    is_there = entries["first_arrival_ns"] != 0
    seconds, rest_ns = np.divmod(entries["first_arrival_ns"].astype(np.int64), _NS_IN_S)
    clock = entries["timestamp"]
    numbers = {
        "pkt_num": entries["daq_rec"] >> _NUMBER_SHIFT & _NUMBER_MASK,
        "pkt_tai": (clock >> np.uint64(_TAI_SHIFT)) % np.uint64(TAI_MODULUS),
        "pkt_nsec": np.minimum(clock & np.uint64(_NSEC_MASK), np.uint64(MAX_NSEC)),
        "tv_sec": seconds,
        "tv_usec": rest_ns // 1000,
    }
    assert tuple(numbers) == PACKET_FIELDS  # noqa: S101
    stamps = {name: np.where(is_there, values, 0).astype(_I8) for name, values in numbers.items()}
    quarters = entries["module_id"] & _QUARTER_MASK if n_boards == 1 else np.arange(n_boards)
    return stamps | {"quabo_num": np.broadcast_to(quarters, entries.shape).astype(np.uint8)}


def header_of_entries(entries: NDArray[Any], product: Product) -> Header:
    """Return the PFF header of an image, given the ModuleEntry of each of its boards, (n_boards,)."""
    stamps = stamps_of_entries(entries)
    boards = [{name: int(stamps[name][board]) for name in PACKET_FIELDS} for board in range(len(entries))]
    if not product.quabos:
        return {"quabo_num": int(stamps["quabo_num"][0])} | boards[0]
    return {f"quabo_{quarter}": board for quarter, board in zip(product.quabos, boards, strict=True)}


def module_of_entries(entries: NDArray[Any]) -> NDArray[np.uint16]:
    """Return the telescope module of each image, given the ModuleEntry of its boards, (n_images, n_boards)."""
    # A board that is missing has the number 0.
    modules: NDArray[np.uint16] = (entries["module_id"].max(axis=1) >> _MODULE_SHIFT).astype(np.uint16)
    return modules


def own_columns() -> OwnColumns:
    """Return the arrays that files of a telescope have beside those of every detector."""
    columns = {name: OwnColumn(_I8, is_per_module=True) for name in PACKET_FIELDS}
    columns["quabo_num"] = OwnColumn(np.dtype("u1"), is_per_module=True)
    columns["received_ns"] = columns["white_rabbit_ns"] = OwnColumn(_I8, is_per_module=False, units="ns")
    columns["module_id"] = OwnColumn(np.dtype("<u2"), is_per_module=False)
    return OwnColumns(columns, _compute)


def _compute(entries: NDArray[Any]) -> dict[str, NDArray[Any]]:
    stamps = stamps_of_entries(entries)
    # An image is dated by its first board, as `std_daq.telescope.pff.header.first_stamp` does.
    first = {name: values[:, 0] for name, values in stamps.items()}
    return stamps | {
        "received_ns": received_ns(first),
        "white_rabbit_ns": white_rabbit_ns(first),
        "module_id": module_of_entries(entries),
    }
