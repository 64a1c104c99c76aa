"""Images of every detector become dicts: shapes, types, headers, times."""

import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from std_daq.telescope.client.image_message import as_own_message, make_pano_image
from std_daq.telescope.client.parsing import parse_pano_image, parse_response
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_daq.telescope.pff import PRODUCTS
from std_test_kit.daqdata_clients import messages_of
from std_test_kit.telescope_frames import make_header, make_pixels


@pytest.mark.parametrize("name", PRODUCTS)
def test_image_of_each_product_is_what_existing_clients_make_of_it(name: str) -> None:
    product = PRODUCTS[name]
    pixels = make_pixels(product, 1700)
    image = make_pano_image(
        pixels,
        module_id=7,
        is_pulse_height=product.is_pulse_height,
        header=make_header(product, 1700),
        file="a.pff",
        frame_number=3,
    )
    parsed = parse_pano_image(image)
    header = parsed.pop("header")
    np.testing.assert_array_equal(parsed.pop("image_array"), pixels, strict=True)
    assert parsed == {
        "type": "PULSE_HEIGHT" if product.is_pulse_height else "MOVIE",
        "shape": list(product.shape),
        "bytes_per_pixel": product.dtype.itemsize,
        "file": "a.pff",
        "frame_number": 3,
        "module_id": 7,
    }
    assert header.pop("pkt_unix_timestamp") == Decimal("1735787046.7003")
    assert header.pop("wr_unix_timestamp") == Decimal("1735787046.7")
    assert header.pop("pandas_unix_timestamp") == np.datetime64("2025-01-02T03:04:06.700300000")
    assert header == make_header(product, 1700)


def test_clocks_that_are_not_synchronous_have_the_white_rabbit_time_0() -> None:
    header = make_header(PRODUCTS["ph256"], 5) | {"pkt_tai": 500}
    image = make_pano_image(np.zeros((16, 16), np.int16), module_id=1, header=header)
    assert parse_pano_image(image)["header"]["wr_unix_timestamp"] == 0


@given(
    np_st.arrays(
        st.sampled_from([np.uint8, np.uint16, np.uint32, np.int8, np.int16, np.int32]).map(np.dtype),
        np_st.array_shapes(min_dims=1, max_dims=3, min_side=1, max_side=9),
    )
)
def test_pixels_of_any_shape_and_integer_type_come_back_as_they_were(pixels: Any) -> None:
    image = make_pano_image(pixels, module_id=1, header={"dtype": str(pixels.dtype)})
    np.testing.assert_array_equal(parse_pano_image(image)["image_array"], pixels, strict=True)


@pytest.mark.parametrize("byte_order", "<>")
def test_pixels_of_any_byte_order_are_uploaded_by_value(byte_order: str) -> None:
    pixels = np.array([[1, 300]], f"{byte_order}u2")
    assert list(make_pano_image(pixels, module_id=1).image_array) == [1, 300]


def test_what_is_no_image_of_integers_is_not_uploaded() -> None:
    with pytest.raises(ValueError, match="float64"):
        make_pano_image(np.zeros((2, 2)), module_id=1)
    with pytest.raises(ValueError, match="int64"):
        make_pano_image(np.zeros((2, 2), np.int64), module_id=1)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"shape": [2, 3]}, "image_array has 4 pixels, but shape .2, 3. has 6"),
        ({"shape": []}, "has 0"),
        ({"bytes_per_pixel": 3}, "bytes_per_pixel is 3"),
        ({"bytes_per_pixel": 1}, "a pixel is 256, which has more than 1 bytes"),
        ({"shape": [2**31, 2**31]}, "but shape"),
    ],
)
def test_pixels_that_do_not_fit_are_a_value_error(fields: dict[str, Any], text: str) -> None:
    sound: dict[str, Any] = {"shape": [2, 2], "bytes_per_pixel": 2, "image_array": [0, 1, 2, 256]}
    with pytest.raises(ValueError, match=text):
        parse_pano_image(messages.PanoImage(**sound | fields))


@pytest.mark.parametrize("header", [{}, {"quabo_0": 7}, {"tv_sec": "x"}, {"quabo_0": {"tv_sec": 1}}, {"a": [1, None]}])
def test_header_of_another_detector_has_no_times_and_is_kept(header: dict[str, Any]) -> None:
    image = make_pano_image(np.zeros((2, 2), np.uint8), module_id=1, header=header)
    assert parse_pano_image(image)["header"] == header


def test_image_of_another_packages_messages_is_taken() -> None:
    other = messages_of("2025-08")["PanoImage"](type=2, shape=[1, 2], bytes_per_pixel=1, image_array=[3, 4])
    assert as_own_message(other) == messages.PanoImage(type=2, shape=[1, 2], bytes_per_pixel=1, image_array=[3, 4])
    assert parse_pano_image(other)["image_array"].tolist() == [[3, 4]]


def test_answer_of_an_old_server_tells_no_times_and_no_number() -> None:
    response = messages.StreamImagesResponse(pano_image=make_pano_image(np.zeros((1, 1), np.uint8), module_id=1))
    parsed = parse_response(response, "dome-1")
    extras = {name: parsed[name] for name in ("host", "frame_id", "skipped", "capture_time", "server_time")}
    assert extras == {"host": "dome-1", "frame_id": None, "skipped": None, "capture_time": None, "server_time": None}


def test_time_is_a_pandas_timestamp_where_pandas_is(tmp_path: Any) -> None:
    (tmp_path / "pandas.py").write_text("def Timestamp(ns, unit): return 'stamp', ns, unit\n")
    code = "from std_daq.telescope.client.pandas_time import wall_time; print(wall_time(5))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "('stamp', 5, 'ns')\n"
