from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.imaging.protocols.replication import (
    CHUNK_BYTES,
    HELLO,
    Ack,
    Checked,
    Hello,
    ImageForm,
    Kind,
    Point,
    Position,
    Share,
    Start,
    Welcome,
    decode_image,
    decode_lost,
    decode_notes,
    encode_image,
    encode_kind,
    encode_lost,
    encode_notes,
    kind_of,
)

FORM = ImageForm(height=4, width=8, dtype=2, n_modules=3)
HELLO_MESSAGE = Hello("EG", "far", Share(1, 4), Point(12, 345), Start.NOW, credit=9)
DECODERS: list[Callable[[bytes], Any]] = [
    Hello.decode,
    Ack.decode,
    Welcome.decode,
    Checked.decode,
    Position.decode,
    decode_lost,
    decode_notes,
    kind_of,
    lambda message: decode_image(message, FORM, 64),
]


def metadata() -> Any:
    one = np.zeros(1, IMAGE_METADATA)
    one["height"], one["width"], one["dtype"], one["sequence"] = 4, 8, 2, 77
    return one


@pytest.mark.parametrize(
    "message",
    [
        HELLO_MESSAGE,
        Ack(5, Point(1, 2)),
        Welcome(FORM, 40, Point(7, 8)),
        Checked(9, frozenset({3, 5})),
        Position(1, 2, 3),
    ],
)
def test_messages_come_back_as_they_were(message: Any) -> None:
    assert type(message).decode(message.encode()) == message


def test_image_comes_back_with_its_pixels() -> None:
    pixels = bytes(range(64))
    modules = np.zeros(3, MODULE_ENTRY)
    modules["missing_packets"], modules["storage_cell"] = [0, 2, 5], [7, 8, 9]
    head = decode_image(encode_image(metadata(), modules, pixels=pixels), FORM, 64)
    assert head.metadata.tobytes() == metadata().tobytes()
    assert head.modules.tobytes() == modules.tobytes()
    assert (bytes(head.pixels), head.is_checked) == (pixels, True)


def test_image_whose_pixels_follow_tells_their_chunks() -> None:
    head = decode_image(encode_image(metadata(), np.zeros(3, MODULE_ENTRY), n_chunks=3), FORM, 2 * CHUNK_BYTES + 1)
    assert (head.n_chunks, head.chunk_bytes, head.is_checked) == (3, CHUNK_BYTES, False)


@pytest.mark.parametrize("n_chunks", [1, 2, 4, 2**31])
def test_image_with_chunks_that_do_not_make_it_up_is_refused(n_chunks: int) -> None:
    with pytest.raises(ValueError, match="chunks"):
        decode_image(encode_image(metadata(), np.zeros(3, MODULE_ENTRY), n_chunks=n_chunks), FORM, 2 * CHUNK_BYTES + 1)


def test_image_of_another_form_is_refused() -> None:
    other = metadata()
    other["width"] = 9
    with pytest.raises(ValueError, match="another form"):
        decode_image(encode_image(other, np.zeros(3, MODULE_ENTRY), pixels=bytes(64)), FORM, 64)


def test_lost_images_come_back() -> None:
    entries = np.repeat(metadata(), 3)
    assert decode_lost(encode_lost(entries)).tobytes() == entries.tobytes()


def test_hello_of_another_version_is_refused_whatever_else_it_says() -> None:
    message = bytearray(HELLO_MESSAGE.encode()[:40])
    message[8] = 1
    with pytest.raises(ValueError, match="speaks version 1"):
        Hello.decode(bytes(message))


@pytest.mark.parametrize(("field", "value"), [("credit", 0), ("share_of", 0), ("share_index", 4), ("start", 2)])
def test_hello_that_asks_for_nothing_is_refused(field: str, value: int) -> None:
    message = np.frombuffer(HELLO_MESSAGE.encode(), HELLO).copy()
    message[field] = value
    with pytest.raises(ValueError, match=r".+"):
        Hello.decode(message.tobytes())


def test_notes_that_are_too_deep_or_too_long_are_refused() -> None:
    deep = encode_kind(Kind.NOTES) + b"[" * 10_000
    for message in (deep, encode_notes({"x": "y" * 20_000}), encode_kind(Kind.NOTES) + b"[]"):
        with pytest.raises(ValueError, match="notes"):
            decode_notes(message)


@pytest.mark.parametrize("sequence", [2**63, 2**64 - 1])
def test_sequence_number_after_which_there_may_be_none_is_refused(sequence: int) -> None:
    one = metadata()
    one["sequence"] = sequence
    image = encode_image(one, np.zeros(3, MODULE_ENTRY), n_chunks=1)
    for decode in (
        lambda: decode_image(image, FORM, 64),
        lambda: decode_lost(encode_lost(one)),
        lambda: Welcome.decode(Welcome(FORM, 40, Point(7, sequence)).encode()),
        lambda: Position.decode(Position(sequence, 2, 3).encode()),
    ):
        with pytest.raises(ValueError, match="larger than any that a ring reaches"):
            decode()


def test_welcome_of_no_ring_is_refused() -> None:
    with pytest.raises(ValueError, match="names no ring"):
        Welcome.decode(Welcome(FORM, 40, Point(0, 8)).encode())


@given(message=st.binary(max_size=400), kind=st.sampled_from(Kind))
def test_garbage_is_a_value_error_and_nothing_else(message: bytes, kind: Kind) -> None:
    for decode in DECODERS:
        for garbage in (message, encode_kind(kind) + message):
            try:
                decode(garbage)
            except ValueError:
                continue


@given(index=st.integers(0, 4), of=st.integers(1, 5), n_parts=st.integers(1, 4), frames=st.sets(st.integers(0, 10_000)))
def test_parts_of_a_share_make_it_up(index: int, of: int, n_parts: int, frames: set[int]) -> None:
    share = Share(index % of, of)
    entries = np.zeros(len(frames), IMAGE_METADATA)
    entries["frame_index"] = sorted(frames)
    parts = [share.part(i, n_parts).select(entries) for i in range(n_parts)]
    assert sorted(np.concatenate(parts)["frame_index"]) == share.select(entries)["frame_index"].tolist()


@given(first=st.integers(0, 100), step=st.integers(1, 8), of=st.integers(1, 5))
def test_servers_share_images_evenly_whatever_the_step_of_their_frame_numbers(first: int, step: int, of: int) -> None:
    entries = np.zeros(10 * of, IMAGE_METADATA)
    entries["frame_index"] = first + step * np.arange(len(entries))
    shares = [Share(index, of).select(entries, step) for index in range(of)]
    assert [len(share) for share in shares] == [10] * of
    assert sorted(np.concatenate(shares)["frame_index"]) == entries["frame_index"].tolist()
