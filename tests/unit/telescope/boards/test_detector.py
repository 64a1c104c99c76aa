"""The configuration of a telescope."""

from typing import Any

import pytest

from std_daq.errors import ConfigError
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import open_detector
from std_daq.telescope.boards import Telescope
from std_test_kit.telescope_boards import board_packet, telescope_config, telescope_document


@pytest.mark.parametrize(
    ("product", "n_boards", "dtype", "n_bytes"),
    [("img8", 4, "u1", 272), ("img16", 4, "u2", 528), ("ph256", 1, "i2", 528), ("ph1024", 4, "i2", 528)],
)
def test_product_decides_boards_pixels_and_packets(product: str, n_boards: int, dtype: str, n_bytes: int) -> None:
    telescope = open_detector(telescope_config(product))
    assert isinstance(telescope, Telescope)
    assert telescope.image_dtype.str[1:] == dtype
    assert telescope.board_layout().n_boards == n_boards
    assert telescope.packet_layout(0).lengths_in_words == str(n_bytes) == str(telescope.board_layout().packet_bytes)
    assert telescope.n_ports == 1


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("bit_depth", {"bit_depth": 8}),
        ("n_modules", {"n_modules": 4}),
        ("image_pixel_width", {"image_pixel_width": 32}),
        ("image_pixel_height", {"image_pixel_height": 32}),
        ("image_id", {"image_id": "pulse_id"}),
        ("udp.numinterfaces", {"udp": {"numinterfaces": 2}}),
        ("udp.numdst", {"udp": {"numdst": 2}}),
        ("detector.product", {"detector": {"product": "img32"}}),
        ("detector.product", {"detector": {}}),
        ("detector.modules", {"detector": {"product": "ph256", "modules": [16384]}}),
        ("detector.orientation", {"detector": {"product": "ph256", "orientation": "upside down"}}),
        ("detector.others_to", {"detector": {"product": "ph256", "others_to": "60011"}}),
        ("detector.others_to", {"detector": {"product": "ph256", "others_to": "300.0.0.1:60011"}}),
        ("detector.others_to", {"detector": {"product": "ph256", "others_to": "127.0.0.1:70000"}}),
    ],
)
def test_configuration_that_fits_no_telescope_is_refused_by_its_key(key: str, change: dict[str, Any]) -> None:
    config = DetectorConfig.model_validate(telescope_document("ph256") | change)
    with pytest.raises(ConfigError) as refused:
        open_detector(config)
    assert key in str(refused.value)


def test_several_receivers_are_refused_because_there_is_one_port() -> None:
    config = DetectorConfig.model_validate(telescope_document("img16") | {"udp": {"receivers": ["0-1", "2-3"]}})
    with pytest.raises(ConfigError, match=r"udp\.receivers.*leave it out"):
        open_detector(config)


def test_packets_of_the_simulation_are_those_of_the_description() -> None:
    telescope = Telescope(telescope_config("ph256", modules=(254,)))
    raw = next(telescope.simulated_frames("showers", seed=1))[0]
    frame = telescope.packets(3, 70_000, raw, pulse_id=0, timestamp=5_000_000_007)
    expected = board_packet("ph256", module=254, quarter=3, number=70_000 % 65536, tai=5, nsec=7, pixels=raw)
    assert frame.packets[0].tobytes() == expected
    assert frame.lengths.tolist() == [len(expected)]
    layout = telescope.packet_layout(0)
    assert (layout.key.read(expected), layout.unit.read(expected)) == (70_000 % 65536, 0)


def test_others_to_is_an_address() -> None:
    assert Telescope(telescope_config("ph256")).others_to is None
    assert Telescope(telescope_config("ph256", others_to="127.0.0.1:60011")).others_to == ("127.0.0.1", 60011)
