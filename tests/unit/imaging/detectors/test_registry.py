import pytest

from std_daq.errors import ConfigError
from std_daq.imaging.config import parse_config
from std_daq.imaging.detectors.registry import open_detector

GIGAFROST = {
    "detector_name": "gf",
    "detector_type": "gigafrost",
    "n_modules": 8,
    "bit_depth": 12,
    "image_pixel_height": 128,
    "image_pixel_width": 480,
    "module_positions": {},
}


def test_ports_beyond_the_last_there_is_are_refused_with_what_is_possible() -> None:
    assert open_detector(parse_config({**GIGAFROST, "start_udp_port": 65520})).n_ports == 16
    with pytest.raises(ConfigError, match=r"start_udp_port.*16 ports.*give at most 65520"):
        open_detector(parse_config({**GIGAFROST, "start_udp_port": 65521}))
