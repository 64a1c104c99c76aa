"""Items against plain numpy, compiled and as plain Python."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from std_daq.tpc.electronics import FPN_CHANNELS
from std_daq.tpc.frames import item_kernels, row_kernels
from std_daq.tpc.frames.decode import decode_board, key_table, new_item_counts
from std_daq.tpc.frames.encode import (
    EventHeader,
    FrameFormat,
    encode_full,
    encode_items,
    encode_partial,
    full_items,
    items_in_time,
    partial_items,
)
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.frames.records import ItemCount
from std_daq.tpc.pads.channel_map import ChannelMap, MappedChannel
from std_daq.tpc.pads.plane import PadPlane

HEADER = EventHeader(7, 12345, (1, 2))


def as_frame(data: bytes) -> Frame:
    frame = parse_frame(data)
    assert isinstance(frame, Frame)
    return frame


def board_samples(seed: int = 0, sent: float = 1.0) -> NDArray[np.int16]:
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, 4096, (4, 68, 512), np.int16)
    if sent < 1:
        samples[rng.random((4, 68)) >= sent] = -1
        samples[rng.random(samples.shape) >= sent] = -1
    return samples


FORMATS = [FrameFormat(block, is_little) for block in (64, 256) for is_little in (False, True)]


@pytest.mark.parametrize("frame_format", FORMATS, ids=lambda one: f"{one.block_bytes}{one.order}")
@pytest.mark.parametrize("first_aget", range(4))
def test_frames_of_samples_are_decoded_to_them(frame_format: FrameFormat, first_aget: int) -> None:
    samples = board_samples(1, 0.3)
    found, counts = decode_board(as_frame(encode_partial(HEADER, samples, frame_format, first_aget=first_aget)))
    np.testing.assert_array_equal(found, samples)
    assert counts[ItemCount.SAMPLE] == np.count_nonzero(samples >= 0)
    samples = board_samples(2)
    for at_once in (1, 2):
        data = encode_full(HEADER, samples, frame_format, first_aget=first_aget, channels_at_once=at_once)
        found, counts = decode_board(as_frame(data))
        np.testing.assert_array_equal(found, samples)
    assert {name: n for name, n in counts.items() if n} == {ItemCount.SAMPLE: 4 * 68 * 512}


def test_sizes_are_those_of_real_frames() -> None:
    assert len(encode_full(HEADER, board_samples())) == 278_784
    assert len(encode_partial(HEADER, board_samples())) == 557_312
    assert len(encode_items(HEADER, np.empty(0, np.uint32))) == 256
    assert len(encode_items(HEADER, np.empty(0, np.uint16), FrameFormat(64))) == 128


def test_header_fields_come_back() -> None:
    header = EventHeader(
        4_000_000_000, 2**48 - 2, (10, 1), 500, 3, ((0, 68), (11,), (), (67,)), (1, 2, 3, 4), 2**32 - 1, (5, 6, 7, 511)
    )
    for frame_format in FORMATS:
        frame = as_frame(encode_items(header, np.empty(0, np.uint16), frame_format))
        assert (frame.event_id, frame.event_time, frame.board) == (4_000_000_000, 2**48 - 2, (10, 1))
        assert tuple(tuple(frame.hit_channels(aget)) for aget in range(4)) == header.hit_channels
        names = ("read_offset", "status", "window_out", "multiplicities", "last_cells")
        found = [frame.header[name].tolist() for name in names]
        assert found == [500, 3, 2**32 - 1, [1, 2, 3, 4], [5, 6, 7, 511]]


def test_damaged_items_are_counted_by_kind() -> None:
    items = partial_items([0, 1, 1, 2, 3], [5, 68, 127, 5, 5], [0, 1, 2, 511, 3], [4095, 1, 2, 3, 4])
    items = np.append(items, [items[0] - 95, items[4] | 1 << 12])
    samples, counts = decode_board(as_frame(encode_items(HEADER, items)))
    assert np.argwhere(samples >= 0).tolist() == [[0, 5, 0], [2, 5, 511], [3, 5, 3]]
    assert samples[0, 5, 0] == 4000  # the later one counts
    assert counts == {
        ItemCount.SAMPLE: 5, ItemCount.UNMAPPED: 0, ItemCount.BAD_CHANNEL: 2, ItemCount.DOUBLED: 2,
        ItemCount.SURPLUS: 0, ItemCount.UNUSED_BITS: 1,
    }  # fmt: skip


@pytest.mark.parametrize("n_items", [0, 1, 271, 272, 300, 5000, 139_263, 139_264, 139_266])
@pytest.mark.parametrize("is_little", [False, True])
def test_full_readout_of_any_length_is_decoded_by_counters(n_items: int, is_little: bool) -> None:
    items = np.append(full_items(board_samples(3)), np.array([0, 0x4001], np.uint16))[:n_items]
    found, counts = decode_board(as_frame(encode_items(HEADER, items, FrameFormat(is_little_endian=is_little))))
    expected, n_surplus = counted(items)
    np.testing.assert_array_equal(found, expected)
    assert (counts[ItemCount.SAMPLE], counts[ItemCount.SURPLUS]) == (n_items - n_surplus, n_surplus)


@given(st.integers(0, 2**32 - 1), st.integers(0, 139_264), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_full_readout_in_any_order_is_decoded_by_counters(seed: int, begin: int, n_swaps: int) -> None:
    rng = np.random.default_rng(seed)
    items = full_items(board_samples(seed % 5), seed % 4, 1 + seed % 2)
    places = begin + rng.integers(0, 600, (n_swaps, 2))
    for one, other in places % len(items):
        items[[one, other]] = items[[other, one]]
    found, counts = decode_board(as_frame(encode_items(HEADER, items)))
    expected, n_surplus = counted(items)
    np.testing.assert_array_equal(found, expected)
    assert counts[ItemCount.SURPLUS] == n_surplus


def counted(items: NDArray[np.uint16]) -> tuple[NDArray[np.int16], int]:
    """Decode a full readout as its rule says, with numpy."""
    samples = np.full((4, 68, 512), -1, np.int16)
    n_surplus = 0
    for aget in range(4):
        own = items[items >> 14 == aget] & 0xFFF
        n_surplus += max(0, len(own) - 68 * 512)
        n = np.arange(min(len(own), 68 * 512))
        samples[aget, n % 68, n // 68] = own[: len(n)]
    return samples, n_surplus


def test_unused_bits_of_a_full_readout_are_counted() -> None:
    items = full_items(board_samples())
    items[[5, 100_000]] |= 0x1000
    for is_little in (False, True):
        found, counts = decode_board(as_frame(encode_items(HEADER, items, FrameFormat(is_little_endian=is_little))))
        assert counts[ItemCount.UNUSED_BITS] == 2
        np.testing.assert_array_equal(found, board_samples())


def plane_of(*boards: tuple[int, int]) -> PadPlane:
    """Return a plane whose pads are numbered against the order of the hardware; some channels have no pad."""
    hardware = [(*board, aget, channel) for board in boards for aget in range(4) for channel in range(60)]
    hardware = [one for one in hardware if one[3] not in FPN_CHANNELS]
    return PadPlane(ChannelMap.of([MappedChannel(*one, 0, 9000 - n) for n, one in enumerate(hardware)]))


def test_matrix_has_a_row_for_each_pad_with_a_sample() -> None:
    boards = [(0, 1), (10, 0)]
    sent = {(0, 1): board_samples(4, 0.2), (10, 0): board_samples(5)}
    plane = plane_of(*boards)
    frames = [
        as_frame(encode_full(EventHeader(1, 1, (10, 0)), sent[10, 0])),
        as_frame(encode_partial(EventHeader(1, 1, (0, 1)), sent[0, 1], FrameFormat(64))),
    ]
    decoder = EventDecoder(plane)
    matrix = decoder.decode(frames)
    assert (np.diff(matrix[:, 4]) > 0).all()
    expected = {}
    for board in boards:
        numbers = plane.board_channels(board).numbers.reshape(4, 68)
        for aget, channel in np.argwhere((numbers >= 0) & (sent[board] >= 0).any(axis=2)).tolist():
            expected[(*board, aget, channel, int(numbers[aget, channel]))] = sent[board][aget, channel].clip(0)
    assert {tuple(row[:5].tolist()) for row in matrix} == set(expected)
    for row in matrix:
        np.testing.assert_array_equal(row[5:], expected[tuple(row[:5].tolist())])
    counts = decoder.item_counts
    n_sent = sum(np.count_nonzero(samples >= 0) for samples in sent.values())
    assert counts[ItemCount.SAMPLE] + counts[ItemCount.UNMAPPED] == n_sent
    assert counts[ItemCount.UNMAPPED] > 0


def test_decoder_keeps_nothing_of_the_event_before() -> None:
    decoder = EventDecoder(plane_of((0, 0)))
    big = as_frame(encode_full(EventHeader(1, 1, (0, 0)), board_samples()))
    small = as_frame(encode_partial(EventHeader(2, 2, (0, 0)), board_samples(6, 0.1)))
    alone = EventDecoder(plane_of((0, 0))).decode([small])
    decoder.decode([big])
    np.testing.assert_array_equal(decoder.decode([small]), alone)
    assert decoder.decode([]).shape == (0, 517)


def test_boards_that_the_map_does_not_name_have_no_row() -> None:
    decoder = EventDecoder(plane_of((0, 0)))
    frame = as_frame(encode_full(EventHeader(1, 1, (200, 9)), board_samples()))
    assert decoder.decode([frame]).shape == (0, 517)
    assert decoder.item_counts[ItemCount.UNMAPPED] == 4 * 68 * 512


def test_without_a_map_rows_are_numbered_by_hardware() -> None:
    frame = as_frame(encode_full(EventHeader(1, 1, (3, 2)), board_samples()))
    matrix = EventDecoder(PadPlane()).decode([frame])
    assert len(matrix) == 4 * 64
    cobo, asad, aget, channel, number = matrix[:, :5].astype(int).T
    np.testing.assert_array_equal(number, ((cobo * 4 + asad) * 4 + aget) * 68 + channel)
    assert not set(channel) & set(FPN_CHANNELS)
    np.testing.assert_array_equal(matrix[:, 5:], board_samples()[aget, channel])


def test_matrix_of_another_shape_is_refused() -> None:
    decoder = EventDecoder(plane_of((0, 0)))
    n_rows = decoder.plan([as_frame(encode_full(EventHeader(1, 1, (0, 0)), board_samples()))])
    with pytest.raises(ValueError, match="the matrix has the shape"):
        decoder.fill(np.empty((n_rows - 1, 517), np.int16))


@pytest.mark.long
def test_kernels_do_the_same_as_plain_python(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = board_samples(7, 0.02)
    words = np.append(items_in_time(sent), partial_items([1], [99], [3], [4]))
    halves = np.delete(full_items(board_samples(8))[: 272 * 40], 272 * 35)
    compiled = run_kernels(words, halves)
    for name, value in vars(item_kernels).items():
        if hasattr(value, "py_func"):
            monkeypatch.setattr(item_kernels, name, value.py_func)
    for name, value in vars(row_kernels).items():
        if hasattr(value, "py_func"):
            monkeypatch.setattr(row_kernels, name, value.py_func)
    for one, other in zip(run_kernels(words, halves), compiled, strict=True):
        np.testing.assert_array_equal(one, other)


def run_kernels(words: NDArray[np.uint32], halves: NDArray[np.uint16]) -> list[NDArray[Any]]:
    places = key_table(np.arange(272) * 512)
    ranks = np.where(key_table(np.arange(272)) < 0, 272, key_table(np.arange(272)))
    results: list[NDArray[Any]] = []
    for place, mark, items in (
        (item_kernels.place_partial, item_kernels.mark_partial, words),
        (item_kernels.place_full, item_kernels.mark_full, halves),
    ):
        for is_swapped in (False, True):
            given_items = items.byteswap() if is_swapped else items
            samples, counts, flags = np.full(272 * 512, -1, np.int16), new_item_counts(), np.zeros(273, np.uint8)
            place(given_items, is_swapped, places, samples, counts)
            mark(given_items, is_swapped, ranks, flags)
            results += [samples, counts, flags.copy()]
            rows = np.zeros(273, np.int64)
            n_rows = row_kernels.number_rows(flags, rows)
            matrix, firsts = np.zeros(n_rows * 517, np.int16), np.where(places < 0, -2, 0)
            heads = np.arange(512 * 5, dtype=np.int16).reshape(512, 5)
            row_kernels.begin_rows(ranks, rows, heads, matrix, firsts)
            place(given_items, is_swapped, firsts, matrix, new_item_counts())
            row_kernels.end_rows(firsts, matrix)
            results += [rows, matrix, firsts]
    return results
