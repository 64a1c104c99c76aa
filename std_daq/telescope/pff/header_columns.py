"""Reads the numbers of many headers at once: they stand in the same columns of each. Pure."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.telescope.pff.header import PACKET_FIELDS, TAI_MINUS_UTC_S, TAI_MODULUS, parse_header, stamps_of
from std_daq.telescope.pff.layout import FrameLayout

_NUMBER = re.compile(rb'"(quabo_num|pkt_num|pkt_tai|pkt_nsec|tv_sec|tv_usec)":([ ]*\d+)(?=[ ]*[,}])')
_SPACE, _ZERO, _NINE = (np.uint8(ord(character)) for character in " 09")
_BATCH = 65536
_NS_IN_S = 1_000_000_000

COLUMNS = np.dtype([("quabo_num", "u1"), *((name, "i8") for name in PACKET_FIELDS)])
"""The numbers that a header has of one packet."""
Columns = npt.NDArray[Any] | Mapping[str, npt.NDArray[Any]]
"""An array of `COLUMNS`, or an array for each of its fields."""


def read_columns(headers: npt.NDArray[np.uint8], layout: FrameLayout) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Return the numbers of all headers.

    Parameters
    ----------
    headers
        Bytes of the headers, one row for each, (n, layout.header_bytes).
    layout
        Layout of the frames.

    Returns
    -------
    The numbers (n, n_packets) as `COLUMNS`; and which headers are sound (n). The numbers of a header that is not sound
    are 0.
    """
    numbers = np.zeros((len(headers), layout.product.n_packets), COLUMNS)
    is_sound = np.zeros(len(headers), np.bool_)
    for first in range(0, len(headers), _BATCH):
        part = slice(first, first + _BATCH)
        _read_batch(headers[part], layout, numbers[part], is_sound[part])
    return numbers, is_sound


def received_ns(packets: Columns) -> npt.NDArray[np.int64]:
    """Return when packets were received, in nanoseconds since 1970, given their numbers."""
    return np.asarray(packets["tv_sec"] * _NS_IN_S + packets["tv_usec"] * 1000, np.int64)


def white_rabbit_ns(packets: Columns) -> npt.NDArray[np.int64]:
    """Return the times at the boards in nanoseconds since 1970; 0 where the clocks are not synchronous.

    Of each packet it is the same as `std_daq.telescope.pff.header.PacketStamp.white_rabbit_ns`.
    """
    apart_s = (packets["tv_sec"] - packets["pkt_tai"] + TAI_MINUS_UTC_S) % TAI_MODULUS
    step_s = np.select([apart_s == 1, apart_s == TAI_MODULUS - 1], [-1, 1], 0)
    is_known = (apart_s <= 1) | (apart_s == TAI_MODULUS - 1)
    return np.where(is_known, (packets["tv_sec"] + step_s) * _NS_IN_S + packets["pkt_nsec"], 0).astype(np.int64)


def _read_batch(
    headers: npt.NDArray[np.uint8],
    layout: FrameLayout,
    numbers: npt.NDArray[Any],
    is_sound: npt.NDArray[np.bool_],
) -> None:
    """Read headers by the places of the numbers in the first one; those with other places one by one."""
    first = headers[0].tobytes()
    places = [(found[1].decode(), *_widest(first, *found.span(2))) for found in _NUMBER.finditer(first)]
    n_packets = numbers.shape[1]
    n_expected = n_packets * len(PACKET_FIELDS) + (0 if layout.product.quabos else 1)
    is_alike = np.zeros(len(headers), np.bool_)
    if len(places) == n_expected:
        is_text = np.ones(headers.shape[1], np.bool_)
        for _, start, end in places:
            is_text[start:end] = False
        is_alike[:] = (headers[:, is_text] == headers[0, is_text]).all(axis=1)
        seen: dict[str, int] = {}
        for name, start, end in places:
            packet = seen.setdefault(name, 0)
            seen[name] += 1
            values, is_number = _numbers_in(headers[:, start:end])
            numbers[name][:, packet] = np.where(is_number, values, 0)
            is_alike &= is_number
        if layout.product.quabos:
            numbers["quabo_num"] = np.arange(n_packets)
    is_sound[:] = is_alike
    for row in np.flatnonzero(~is_alike):
        is_sound[row] = _read_one(headers[row].tobytes(), layout, numbers[row])


def _widest(text: bytes, start: int, end: int) -> tuple[int, int]:
    """Return the place of a number without the space behind the colon, which belongs to the text."""
    return (start + 1 if text[start : start + 1] == b" " else start), end


def _numbers_in(cells: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the numbers in columns of digits with spaces in front, and which rows contain one."""
    is_digit = (cells >= _ZERO) & (cells <= _NINE)
    is_space = cells == _SPACE
    # A space may not follow a digit.
    is_number = (is_digit | is_space).all(axis=1) & is_digit[:, -1] & ~(is_digit[:, :-1] & is_space[:, 1:]).any(axis=1)
    values = np.zeros(len(cells), np.int64)
    for column in range(cells.shape[1]):
        values = values * 10 + np.where(is_digit[:, column], cells[:, column] - _ZERO, 0)
    return values, is_number


def _read_one(text: bytes, layout: FrameLayout, numbers: npt.NDArray[Any]) -> bool:
    try:
        header = parse_header(text)
        rows = stamps_of(header, layout.product)
        for packet, row in enumerate(rows):
            for name, value in zip(PACKET_FIELDS, row, strict=True):
                numbers[name][packet] = value
            numbers["quabo_num"][packet] = packet if layout.product.quabos else header["quabo_num"]
    except (ValueError, KeyError, TypeError, OverflowError):
        numbers[...] = np.zeros((), COLUMNS)
        return False
    return True
