"""PffFile and PffWriter: what is written is read, whole frames only, also while the file grows."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.errors import FileFormatError
from std_daq.telescope.pff import PRODUCTS, PffFile, PffWriter, Product
from std_daq.telescope.pff.writer import encode_frame
from std_test_kit.telescope_frames import START, make_header, make_pixels, write_pff

ALL = pytest.mark.parametrize("product", PRODUCTS.values(), ids=PRODUCTS)
PH256, IMG16 = PRODUCTS["ph256"], PRODUCTS["img16"]


def frame_of(product: Product, number: int) -> bytes:
    return encode_frame(make_pixels(product, number), make_header(product, number), product)


@ALL
def test_frames_are_read_as_they_were_written(product: Product, tmp_path: Path) -> None:
    (path,) = write_pff(tmp_path, product, 20, module_id=254)
    with PffFile(path) as file:
        assert (len(file), file.n_tail_bytes, file.product) == (20, 0, product)
        assert (file.name.module_id, file.name.seqno, file.name.start) == (254, 0, START)
        for number, frame in enumerate(file):
            assert frame.number == number
            assert frame.header == make_header(product, number)
            assert frame.pixels.dtype == product.dtype
            np.testing.assert_array_equal(frame.pixels, make_pixels(product, number, 254))
        np.testing.assert_array_equal(file.pixels[17], file[17].pixels)
        assert [frame.number for frame in file[-3:]] == [17, 18, 19]
        with pytest.raises(IndexError, match="has 20 frames, counted from 0; there is no frame 20"):
            file[20]


@ALL
def test_index_of_times_equals_the_times_of_the_frames(product: Product, tmp_path: Path) -> None:
    (path,) = write_pff(tmp_path, product, 50)
    with PffFile(path) as file:
        assert file.received_ns().tolist() == [frame.received_ns for frame in file]
        assert file.white_rabbit_ns().tolist() == [frame.white_rabbit_ns for frame in file]
        assert (np.diff(file.white_rabbit_ns()) > 0).all()
        numbers, is_sound = file.stamps()
        assert is_sound.all()
        if product.quabos:
            assert numbers["pkt_num"][9].tolist() == [9, 1009, 2009, 3009]
        else:
            assert numbers["quabo_num"][:, 0].tolist()[:5] == [0, 1, 2, 3, 0]
        assert file.find(file[30].received_ns) == 30
        assert file.find(file[30].received_ns + 1) == 31
        assert file.find(2**62) == 50


@given(cut=st.integers(0, 3 * 636))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60, deadline=None
)
def test_file_cut_anywhere_has_its_whole_frames(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "x.dp_ph256.bpp_2.module_9.pff"
    path.write_bytes(b"".join(frame_of(PH256, number) for number in range(3))[:cut])
    with PffFile(path) as file:
        assert (len(file), file.n_tail_bytes) == divmod(cut, 636)
        for number, frame in enumerate(file):
            np.testing.assert_array_equal(frame.pixels, make_pixels(PH256, number))
        assert len(file.received_ns()) == len(file.white_rabbit_ns()) == len(file)


def test_file_that_grows_shows_its_frames_after_a_refresh(tmp_path: Path) -> None:
    path = tmp_path / "x.dp_img16.bpp_2.module_9.pff"
    path.touch()
    content = b"".join(frame_of(IMG16, number) for number in range(4))
    with PffFile(path) as file, path.open("ab") as growing:
        assert len(file) == 0
        assert file.pixels.shape == (0, 32, 32)
        first: np.ndarray | None = None
        for start in range(0, len(content), 333):
            growing.write(content[start : start + 333])
            growing.flush()
            written = min(start + 333, len(content))
            assert file.refresh() == written // 2540
            if len(file) and first is None:
                first = file[0].pixels
        assert first is not None
        np.testing.assert_array_equal(first, make_pixels(IMG16, 0))
        np.testing.assert_array_equal(file[-1].pixels, make_pixels(IMG16, 3))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89HDF\r\n" + bytes(5000), "a frame begins with '{'"),
        (b"{" + b"x" * 5000, "no header ends within the first 4096 bytes"),
        (b"{nothing}\n\n*" + bytes(600), "the header is not JSON"),
        (b'{"tv_sec": 3}\n\n*' + bytes(600), "keys are missing"),
    ],
)
def test_what_is_no_pff_file_is_named(content: bytes, what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.dp_ph256.pff"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=rf"x\.dp_ph256\.pff is no PFF file of ph256: .*{what}"):
        PffFile(path)


def test_frames_of_another_product_are_refused(tmp_path: Path) -> None:
    (path,) = write_pff(tmp_path, IMG16, 2)
    with pytest.raises(FileFormatError, match="the header is not that of a ph256 frame"):
        PffFile(path, PH256)


def test_file_whose_name_does_not_tell_the_product_needs_it(tmp_path: Path) -> None:
    path = write_pff(tmp_path, IMG16, 2)[0].rename(tmp_path / "hk.pff")
    with pytest.raises(FileFormatError, match=r"hk\.pff: the name does not tell the product"):
        PffFile(path)
    with PffFile(path, IMG16) as file:
        assert len(file) == 2


@pytest.mark.parametrize("at", [0, 60, 491 - 3, 491])
def test_damaged_header_spoils_its_frame_only(at: int, tmp_path: Path) -> None:
    (path,) = write_pff(tmp_path, IMG16, 5)
    content = bytearray(path.read_bytes())
    content[2540 * 2 + at] = ord("#")
    path.write_bytes(content)
    with PffFile(path) as file:
        if at < 491:
            assert file.stamps()[1].tolist() == [True, True, False, True, True]
            assert file.white_rabbit_ns()[2] == 0
        with pytest.raises(FileFormatError, match=r"frame 2\b.* at byte 5080"):
            file[2]
        assert file[3].header == make_header(IMG16, 3)


def test_headers_with_other_spaces_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "x.dp_ph256.pff"
    frames = []
    for number in range(6):
        packet = make_header(PH256, number)
        order = packet if number % 2 else dict(reversed(packet.items()))
        text = str(order).replace("'", '"').ljust(150).encode()
        frames.append(text + b"\n\n*" + make_pixels(PH256, number).tobytes())
    path.write_bytes(b"".join(frames))
    with PffFile(path) as file:
        assert file.header_bytes == 152
        assert file.stamps()[1].all()
        assert file.received_ns().tolist() == [frame.received_ns for frame in file]
        assert file.stamps()[0]["quabo_num"][:, 0].tolist() == [0, 1, 2, 3, 0, 1]


def test_writer_begins_the_next_file_before_one_grows_too_large(tmp_path: Path) -> None:
    paths = write_pff(tmp_path, PH256, 7, max_file_bytes=3 * 636 + 5)
    assert [path.name for path in paths] == [
        f"start_{START}.dp_ph256.bpp_2.module_1.seqno_{seqno}.pff" for seqno in range(3)
    ]
    assert [path.stat().st_size // 636 for path in paths] == [3, 3, 1]
    with PffFile(paths[1]) as file:
        assert file[0].header == make_header(PH256, 3)


def test_writer_writes_over_no_file(tmp_path: Path) -> None:
    write_pff(tmp_path, PH256, 1)
    with pytest.raises(FileExistsError):
        write_pff(tmp_path, PH256, 1)


@pytest.mark.parametrize("pixels", [np.zeros((16, 16), "u2"), np.zeros((16, 17), "<i2"), np.zeros(256, "<i2")])
def test_writer_refuses_pixels_of_another_shape_or_type(pixels: np.ndarray, tmp_path: Path) -> None:
    with PffWriter(tmp_path, PH256, 1, START) as writer:
        with pytest.raises(ValueError, match=r"a ph256 frame has \(16, 16\) pixels of int16, not"):
            writer.write(pixels, make_header(PH256, 1))
        writer.flush()
        assert writer.path.stat().st_size == 0
