"""Frames of a socket stream, whole ones only, whatever the stream has lost."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from std_daq.telescope.pff import PRODUCTS, Product
from std_daq.telescope.pff.header import HeaderForm
from std_daq.telescope.pff.writer import encode_frame
from std_live_view.sources.socket_frames import SocketFrame, SocketFrames
from std_test_kit.telescope_frames import make_header, make_pixels

ALL = pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)


def message(product: Product, number: int, module_id: int = 5) -> bytes:
    frame = encode_frame(
        make_pixels(product, number, module_id), make_header(product, number), product, HeaderForm.SOCKET
    )
    return module_id.to_bytes(2, "big") + frame


def is_frame(frame: SocketFrame, product: Product, number: int, module_id: int = 5) -> bool:
    pixels = make_pixels(product, number, module_id).tobytes()
    return frame == (module_id, make_header(product, number), pixels)


def feed(frames: SocketFrames, data: bytes, cuts: Sequence[int] = ()) -> list[SocketFrame]:
    found = []
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        found += frames.feed(data[start:end])
    return found


@ALL
@given(cuts=st.lists(st.integers(0, 100_000), max_size=30))
@settings(max_examples=25, deadline=None)
def test_frames_come_whole_whatever_the_pieces(product: Product, cuts: list[int]) -> None:
    modules = [0, 1, 254, 256, 65535]
    frames = SocketFrames(product)
    data = b"".join(message(product, number, module_id) for number, module_id in enumerate(modules))
    found = feed(frames, data, cuts)
    assert len(found) == len(modules)
    assert all(is_frame(*one) for one in zip(found, [product] * 5, range(5), modules, strict=True))
    assert (frames.n_cut, frames.n_lost_bytes) == (0, 0)


@ALL
@given(cut=st.integers(0, 10_000), pieces=st.lists(st.integers(0, 100_000), max_size=8))
@settings(max_examples=80, deadline=None)
def test_after_a_cut_frame_the_next_whole_ones_come_and_no_other(product: Product, cut: int, pieces: list[int]) -> None:
    whole = [message(product, number) for number in range(6)]
    kept = 1 + cut % (len(whole[2]) - 1)
    frames = SocketFrames(product)
    data = b"".join([*whole[:2], whole[2][:kept], *whole[3:]])
    # Whether its last four bytes or fewer were cut cannot be told if nothing at all has come behind them.
    apparent_end = 3 * len(whole[2])
    found = feed(frames, data, [piece for piece in pieces if piece % (len(data) + 1) != apparent_end])
    expected = [0, 1, 3, 4, 5]
    assert len(found) == len(expected)
    assert all(is_frame(frame, product, number) for frame, number in zip(found, expected, strict=True))
    assert frames.n_lost_bytes == kept
    assert frames.n_cut == 1


def test_many_cuts_lose_only_the_frames_that_were_cut() -> None:
    product = PRODUCTS["ph256"]
    frames, data, expected = SocketFrames(product), b"", []
    for number in range(60):
        whole = message(product, number)
        is_cut = number % 3 == 2
        data += whole[: 17 * number % len(whole)] if is_cut else whole
        if not is_cut:
            expected.append(number)
    found = feed(frames, data, range(0, len(data), 1000))
    assert all(is_frame(frame, product, number) for frame, number in zip(found, expected, strict=True))


def test_damaged_header_spoils_its_frame_only() -> None:
    product = PRODUCTS["img8"]
    whole = [message(product, number) for number in range(4)]
    whole[1] = whole[1].replace(b'"tv_sec"', b'"tv_sEc"')
    frames = SocketFrames(product)
    found = feed(frames, b"".join(whole))
    assert [frame.header["quabo_0"]["pkt_num"] for frame in found] == [0, 2, 3]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\1{" + b"x" * 5000, b"\0\1{}\n\n*" + bytes(900)])
def test_connection_that_brings_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"frame|header"):
        feed(SocketFrames(PRODUCTS["ph256"]), data)


@given(st.binary(max_size=3000))
@settings(max_examples=60)
def test_garbage_behind_good_frames_gives_no_frame_and_no_error(garbage: bytes) -> None:
    product = PRODUCTS["ph256"]
    frames = SocketFrames(product)
    found = feed(frames, message(product, 0) + garbage + message(product, 1) + message(product, 2))
    numbers = [frame.header["pkt_num"] % 1000 for frame in found]
    assert numbers[0] == 0
    assert numbers[-1] == 2
    assert set(numbers) <= {0, 1, 2}
