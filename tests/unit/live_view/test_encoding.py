"""Pixels as protobuf encodes them, and uploads."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from std_daq.grpc_server.refused_call import RefusedCallError
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff import PRODUCTS, Product
from std_live_view.encoding import (
    decode_image,
    encode_about_client,
    encode_pixels,
    length_delimited,
    pack_varints,
    varint,
)
from std_live_view.live_frame import FrameKey, LiveFrame
from std_live_view.uploads import uploaded_frame
from std_test_kit.telescope_frames import make_header, make_pixels

EDGES = [0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, 2**28 - 1, 2**28, 2**32 - 1]


def numbers_below(bound: int) -> st.SearchStrategy[list[int]]:
    edges = [edge for edge in EDGES if edge < bound]
    return st.lists(st.one_of(st.sampled_from(edges), st.integers(0, bound - 1)), max_size=50)


@given(st.sampled_from([2**7, 2**14, 2**21, 2**28, 2**32]).flatmap(numbers_below))
def test_numbers_are_packed_as_protobuf_packs_them(values: list[int]) -> None:
    expected = messages.PanoImage(image_array=values).SerializeToString()
    packed = pack_varints(np.array(values, np.uint32))
    assert (length_delimited(3, packed) if values else b"") == expected
    assert packed == b"".join(map(varint, values))


@given(
    arrays.arrays(st.sampled_from(["u1", "<u2", "<i2", "<u4", "<i4"]), st.tuples(st.integers(1, 9), st.integers(1, 9)))
)
def test_pixels_of_all_types_arrive_as_their_bits(pixels: np.ndarray) -> None:
    image = messages.PanoImage.FromString(encode_pixels(pixels))
    bits = pixels.view(f"u{pixels.dtype.itemsize}")
    assert list(image.image_array) == bits.reshape(-1).tolist()


def test_negative_pixel_travels_as_16_bits() -> None:
    assert list(messages.PanoImage.FromString(encode_pixels(np.array([[-1, -274]], "<i2"))).image_array) == [
        65535,
        65262,
    ]


@given(st.integers(0, 2**62), st.integers(0, 2**40), st.integers(0, 2**40), st.text(max_size=200))
def test_what_differs_from_client_to_client_reads_as_protobuf_writes_it(
    sent_ns: int, by_interval: int, by_slow_client: int, text: str
) -> None:
    expected = messages.StreamImagesResponse(
        left_out=messages.LeftOut(by_interval=by_interval, by_slow_client=by_slow_client), message=text
    )
    expected.timestamp.FromNanoseconds(sent_ns)
    encoded = encode_about_client(sent_ns, by_interval, by_slow_client, text)
    assert messages.StreamImagesResponse.FromString(encoded) == expected


def frame_of(product: Product, number: int = 3, module_id: int = 7) -> LiveFrame:
    return LiveFrame(
        FrameKey(module_id, product.name),
        is_pulse_height=product.is_pulse_height,
        header=make_header(product, number),
        pixels=make_pixels(product, number, module_id),
        file="a.pff",
        frame_number=number,
        server_ns=1_700_000_000_000_000_001,
    )


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_message_of_a_frame_has_all_of_it(product: Product) -> None:
    frame = frame_of(product)
    frame.frame_id = 99
    response = messages.StreamImagesResponse.FromString(frame.message)
    image = response.pano_image
    assert (image.file, image.frame_number, image.module_id, response.frame_id) == ("a.pff", 3, 7, 99)
    assert image.type == (image.PULSE_HEIGHT if product.is_pulse_height else image.MOVIE)
    assert (tuple(image.shape), image.bytes_per_pixel) == (product.shape, product.dtype.itemsize)
    np.testing.assert_array_equal(decode_image(image, product.dtype), frame.pixels)
    assert response.server_time.ToNanoseconds() == frame.server_ns
    assert response.capture_time.ToNanoseconds() == frame.capture_ns > 0
    assert response.name
    uploaded = uploaded_frame(image)
    assert (uploaded.key, uploaded.is_pulse_height, uploaded.header) == (frame.key, frame.is_pulse_height, frame.header)
    np.testing.assert_array_equal(uploaded.pixels, frame.pixels)
    assert uploaded.pixels.dtype == product.dtype
    assert uploaded.board == frame.board == (None if product.quabos else 3)


def image_of(**fields: Any) -> messages.PanoImage:
    return messages.PanoImage(
        **({"type": 2, "shape": [32, 32], "bytes_per_pixel": 2, "image_array": [1] * 1024, "module_id": 1} | fields)
    )


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"module_id": 70000}, "module_id is 70000; modules are numbered from 0 to 65535"),
        ({"shape": [3, 3], "image_array": [1] * 9}, r"no product has this type with shape \[3, 3\]"),
        ({"shape": []}, r"no product has this type with shape \[\]"),
        ({"shape": [2**31, 2**31]}, "no product"),
        ({"type": 0}, "type is neither PULSE_HEIGHT nor MOVIE"),
        ({"type": 1, "bytes_per_pixel": 1}, "and 1 bytes per pixel"),
        ({"bytes_per_pixel": 4}, "and 4 bytes per pixel"),
        ({"image_array": [1] * 1023}, "image_array has 1023 pixels, but shape .* has 1024"),
        ({"image_array": [65536] + [1] * 1023}, "a pixel is 65536, which has more than 2 bytes"),
        ({"bytes_per_pixel": 1, "image_array": [256] * 1024}, "a pixel is 256, which has more than 1 bytes"),
    ],
)
def test_upload_that_is_no_product_is_refused_with_its_reason(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(RefusedCallError, match=why) as refused:
        uploaded_frame(image_of(**fields))
    assert refused.value.code.name == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 1e300, -5.0, "text", None, [1, {"a": 2}], {"tv_sec": 1e300}]
)
def test_any_header_of_an_upload_is_passed_on(value: Any) -> None:
    image = image_of()
    keys = ("pkt_num", "pkt_tai", "pkt_nsec", "tv_sec", "tv_usec", "capture_ns", "quabo_num")
    image.header.update(dict.fromkeys(keys, value))
    frame = uploaded_frame(image)
    assert frame.capture_ns == 0
    assert frame.board is None
    passed_on = messages.StreamImagesResponse.FromString(frame.message).pano_image.header
    assert passed_on.SerializeToString(deterministic=True) == image.header.SerializeToString(deterministic=True)
