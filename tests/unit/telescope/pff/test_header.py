"""Headers of PFF frames: their text, byte by byte, and their times."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from std_daq.telescope.pff.header import (
    HeaderForm,
    PacketStamp,
    check_header,
    first_stamp,
    format_header,
    parse_header,
)
from std_daq.telescope.pff.product import PRODUCTS, Product, product_of
from std_test_kit.telescope_frames import make_header

PACKETS = st.fixed_dictionaries(
    {
        "pkt_num": st.integers(0, 65535),
        "pkt_tai": st.integers(0, 1023),
        "pkt_nsec": st.integers(0, 999_999_999),
        "tv_sec": st.integers(0, 9_999_999_999),
        "tv_usec": st.integers(0, 999_999),
    }
)
HEADERS = st.one_of(
    st.tuples(st.just("img16"), st.fixed_dictionaries({f"quabo_{quabo}": PACKETS for quabo in range(4)})),
    st.tuples(
        st.just("ph256"), st.builds(lambda number, packet: {"quabo_num": number, **packet}, st.integers(0, 3), PACKETS)
    ),
)


@given(HEADERS, st.sampled_from(HeaderForm))
def test_text_of_a_header_parses_to_the_same_header(case: tuple[str, dict[str, Any]], form: HeaderForm) -> None:
    name, header = case
    text = format_header(header, PRODUCTS[name], form)
    assert text.endswith(b"}\n\n*")
    assert parse_header(text[:-3]) == header


def test_header_of_ph256_is_text_of_121_characters() -> None:
    header = {
        "quabo_num": 2, "pkt_num": 3444, "pkt_tai": 31, "pkt_nsec": 421037, "tv_sec": 1721882094, "tv_usec": 954,
    }  # fmt: skip
    assert format_header(header, PRODUCTS["ph256"]) == (
        b'{ "quabo_num": 2, "pkt_num":       3444, "pkt_tai":   31, "pkt_nsec":    421037, "tv_sec": 1721882094, '
        b'"tv_usec":    954}\n\n*'
    )


@pytest.mark.parametrize(("form", "n_bytes"), [(HeaderForm.FILE, 491), (HeaderForm.SOCKET, 480)])
def test_headers_of_four_quabos_are_shorter_on_sockets_than_in_files(form: HeaderForm, n_bytes: int) -> None:
    text = format_header(make_header(PRODUCTS["img8"], 7), PRODUCTS["img8"], form)
    assert len(text) - 1 == n_bytes
    assert text.startswith(b'{\n   "quabo_0": { "pkt_num":' if form is HeaderForm.FILE else b'{\n "quabo_0": { ')
    assert text.count(b"}, \n" if form is HeaderForm.FILE else b"},\n") == 3


@pytest.mark.parametrize(
    ("tv_sec", "seconds"),
    [(1721882092, 1721882092), (1721882093, 1721882092), (1721882091, 1721882092), (1721882095, None)],
    ids=["same second", "computer one ahead", "computer one behind", "not synchronous"],
)
def test_white_rabbit_time_has_the_second_of_the_board(tv_sec: int, seconds: int | None) -> None:
    stamp = PacketStamp(pkt_num=1, pkt_tai=529, pkt_nsec=691007488, tv_sec=tv_sec, tv_usec=691344)
    assert stamp.white_rabbit_ns == (0 if seconds is None else seconds * 10**9 + 691007488)
    assert stamp.received_ns == tv_sec * 10**9 + 691344000


def test_white_rabbit_time_goes_on_where_ten_bits_of_seconds_begin_anew() -> None:
    wraps_at = next(second for second in range(1721883594, 1721884700) if (second + 37) % 1024 == 0)
    stamps = [PacketStamp(1, (second + 37) % 1024, 5, second, 0) for second in (wraps_at - 1, wraps_at)]
    assert [stamp.pkt_tai for stamp in stamps] == [1023, 0]
    assert stamps[1].white_rabbit_ns - stamps[0].white_rabbit_ns == 10**9


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda packet: packet.pop("tv_usec"),
        lambda packet: packet.update(pkt_tai="1"),
        lambda packet: packet.update(pkt_num=-1),
        lambda packet: packet.update(tv_sec=1.5),
        lambda packet: packet.update(tv_sec=True),
    ],
    ids=["a key is missing", "text", "negative", "fraction", "boolean"],
)
def test_header_with_a_wrong_number_is_refused(name: str, spoil: Any) -> None:
    product = PRODUCTS[name]
    header = make_header(product, 1)
    check_header(header, product)
    spoil(header["quabo_3"] if product.quabos else header)
    with pytest.raises(ValueError, match="header"):
        check_header(header, product)


def test_number_that_does_not_fit_its_place_is_refused() -> None:
    with pytest.raises(ValueError, match="'pkt_nsec' of the header is 1000000000, which has more than 9 digits"):
        format_header(make_header(PRODUCTS["ph256"], 1) | {"pkt_nsec": 10**9}, PRODUCTS["ph256"])


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"nothing", b"\xff\xfe", b"[" * 5000])
def test_text_that_is_no_header_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="the header is"):
        parse_header(text)


@pytest.mark.parametrize("header", [{}, {"quabo_0": 3}, {"quabo_0": {"tv_sec": 1}}, {"pkt_num": []}])
def test_header_without_time_has_no_stamp(header: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no time"):
        first_stamp(header)


@pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
def test_product_is_known_by_kind_shape_and_size(product: Product) -> None:
    kind = {"is_pulse_height": product.is_pulse_height, "shape": product.shape}
    assert product_of(**kind, bytes_per_pixel=product.dtype.itemsize) is product
    assert product_of(**kind, bytes_per_pixel=4) is None


def test_header_is_json_for_others() -> None:
    header = make_header(PRODUCTS["ph1024"], 3)
    assert json.loads(format_header(header, PRODUCTS["ph1024"])[:-3]) == header
