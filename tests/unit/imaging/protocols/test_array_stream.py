import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.imaging.protocols.array_stream import decode, encode_header
from std_daq.imaging.protocols.image_metadata import (
    IMAGE_METADATA,
    ImageMetadata,
    ImageStatus,
    decode_image_metadata,
    dtype_code,
)

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
GOOD = {"htype": "array-1.0", "shape": [2, 3], "type": "uint16", "frame": 7}


NOTHING = decode_image_metadata(bytes(IMAGE_METADATA.itemsize))


def metadata_of(dtype: str, **fields: int) -> ImageMetadata:
    return NOTHING._replace(height=2, width=3, dtype=dtype_code(np.dtype(dtype)), **fields)


@pytest.mark.parametrize("dtype", DTYPES)
def test_image_comes_out_as_it_went_in(dtype: str) -> None:
    pixels = np.arange(6).reshape(2, 3).astype(f"<{dtype}")
    image = decode([encode_header(metadata_of(dtype, id=2**64 - 1), {"detector_name": "det"}), pixels.tobytes()])
    assert (image.frame, image.is_good, image.header["detector_name"]) == (2**64 - 1, True, "det")
    assert image.pixels.dtype == pixels.dtype
    assert np.array_equal(image.pixels, pixels)


def test_header_begins_with_the_keys_of_the_format() -> None:
    header = encode_header(metadata_of("u2", id=5), {})
    assert header.startswith(b'{"htype":"array-1.0","shape":[2,3],"type":"uint16","frame":5,')


def test_image_with_missing_packets_is_not_good() -> None:
    status = ImageStatus.MISSING_PACKETS | ImageStatus.MISSING_MODULES
    header = json.loads(encode_header(metadata_of("u2", status=status, n_missing_packets=9), {}))
    assert (header["is_good_frame"], header["status"], header["n_missing_packets"]) == (False, 5, 9)


@pytest.mark.parametrize(
    "changes",
    [
        {"htype": "array-2.0"},
        {"htype": None},
        {"shape": [2]},
        {"shape": [2, 3, 1]},
        {"shape": [-2, -3]},
        {"shape": [True, 6]},
        {"shape": [2.0, 3]},
        {"shape": "23"},
        {"shape": [2, 4]},
        {"shape": [2**70, 2**70]},
        {"type": "object"},
        {"type": "uint16,uint16"},
        {"type": ["uint16"]},
        {"type": "float32"},
        {"frame": "7"},
        {"frame": None},
    ],
)
def test_header_that_does_not_fit_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode([json.dumps(GOOD | changes).encode(), bytes(12)])


@pytest.mark.parametrize("header", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 100_000, b"NaN"])
def test_what_is_no_header_is_refused(header: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode([header, bytes(12)])


@pytest.mark.parametrize("n_parts", [0, 1, 3])
def test_message_of_another_number_of_parts_is_refused(n_parts: int) -> None:
    with pytest.raises(ValueError, match="has 2 parts"):
        decode([json.dumps(GOOD).encode()] * n_parts)


@given(header=st.binary(max_size=200), pixels=st.binary(max_size=50))
def test_no_garbage_raises_anything_else(header: bytes, pixels: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        decode([header, pixels])
