"""Where the pixels of a board go, against the formulas of the field: pixel [i][j] of the packet to [row][column]."""

from collections.abc import Callable

import numpy as np
import pytest

from std_daq.imaging.detectors.interface import is_board_detector
from std_daq.telescope.boards import Telescope
from std_test_kit.telescope_boards import board_packet, board_pixels, telescope_config

Formula = Callable[[int, int], tuple[int, int]]
IN_32X32: dict[str, tuple[Formula, ...]] = {
    "until-2025-07": (
        lambda i, j: (j, 15 - i),
        lambda i, j: (15 - i, 31 - j),
        lambda i, j: (31 - j, 16 + i),
        lambda i, j: (16 + i, j),
    ),
    "since-2025-07": (
        lambda i, j: (i, j),
        lambda i, j: (j, 31 - i),
        lambda i, j: (31 - i, 31 - j),
        lambda i, j: (31 - j, i),
    ),
    "none": (
        lambda i, j: (i, j),
        lambda i, j: (i, 16 + j),
        lambda i, j: (16 + i, 16 + j),
        lambda i, j: (16 + i, j),
    ),
}
IN_16X16: dict[str, tuple[Formula, ...]] = {
    "until-2025-07": (
        lambda i, j: (j, 15 - i),
        lambda i, j: (15 - i, 15 - j),
        lambda i, j: (15 - j, i),
        lambda i, j: (i, j),
    ),
    "since-2025-07": (
        lambda i, j: (i, j),
        lambda i, j: (j, 15 - i),
        lambda i, j: (15 - i, 15 - j),
        lambda i, j: (15 - j, i),
    ),
    "none": (lambda i, j: (i, j),) * 4,
}
RECEIVED = np.ones(1, np.uint64)


def place(telescope: Telescope, board: int, packet: bytes, image: np.ndarray) -> None:
    """Convert a packet as the receiver and the assembler do."""
    layout = telescope.board_layout()
    frame = np.frombuffer(packet[layout.header_bytes :], np.uint8)
    assert telescope.converter().convert(board, frame, RECEIVED, layout.daq_rec.read(packet), image)


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("orientation", IN_32X32)
@pytest.mark.parametrize("product", ["img8", "img16", "ph1024"])
def test_board_is_turned_and_placed_among_the_four(product: str, orientation: str, quarter: int) -> None:
    telescope = Telescope(telescope_config(product, orientation=orientation))
    pixels = board_pixels(product, quarter)
    image = np.full((32, 32), 7, telescope.image_dtype)
    place(telescope, quarter, board_packet(product, quarter=quarter, pixels=pixels), image)
    expected = np.full((32, 32), 7, telescope.image_dtype)
    for i in range(16):
        for j in range(16):
            expected[IN_32X32[orientation][quarter](i, j)] = pixels[i, j]
    assert np.array_equal(image, expected)


@pytest.mark.parametrize("quarter", range(4))
@pytest.mark.parametrize("orientation", IN_16X16)
def test_board_of_an_image_of_its_own_is_turned_as_its_quarter_demands(orientation: str, quarter: int) -> None:
    telescope = Telescope(telescope_config("ph256", orientation=orientation))
    pixels = board_pixels("ph256", quarter)
    image = np.zeros((16, 16), telescope.image_dtype)
    place(telescope, 0, board_packet("ph256", module=254, quarter=quarter, pixels=pixels), image)
    expected = np.zeros_like(image)
    for i in range(16):
        for j in range(16):
            expected[IN_16X16[orientation][quarter](i, j)] = pixels[i, j]
    assert np.array_equal(image, expected)


def test_board_that_is_off_or_missing_gets_the_fill_value() -> None:
    config = telescope_config("img16").model_copy(update={"deactivate": [2]})
    telescope = Telescope(config)
    image = np.full((32, 32), 9, np.uint16)
    place(telescope, 2, board_packet("img16", quarter=2), image)
    telescope.converter().fill(0, image)
    telescope.converter().fill_gaps(image)
    assert (image[16:, 16:] == 0).all()
    assert (image[:16, :16] == 0).all()
    assert (image[:16, 16:] == 9).all()
    assert (telescope.pixel_mask() != 0).sum() == 256
    assert (telescope.pixel_mask()[16:, 16:] != 0).all()
    assert telescope.converter().reload() is None


def test_a_telescope_is_known_as_a_detector_of_boards() -> None:
    assert is_board_detector(Telescope(telescope_config("ph256")))
