"""What every detector has to do, asked of ours; and that the checks find what is wrong."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from std_daq.imaging.config import DetectorConfig
from std_daq.imaging.detectors.checks import check_detector
from std_daq.imaging.detectors.eiger import Eiger
from std_daq.imaging.detectors.registry import open_detector

EIGER_MODULE = {0: (0, 258, 513, 513), 1: (516, 258, 1029, 513), 2: (0, 255, 513, 0), 3: (516, 255, 1029, 0)}


def config(detector_type: str, n_modules: int, bit_depth: int, height: int, width: int, **more: Any) -> DetectorConfig:
    return DetectorConfig(
        detector_name="D",
        detector_type=detector_type,
        n_modules=n_modules,
        bit_depth=bit_depth,
        image_pixel_height=height,
        image_pixel_width=width,
        start_udp_port=50000,
        **more,
    )


EIGER = config("eiger", 4, 16, 514, 1030, module_positions=EIGER_MODULE)
CONFIGS = [
    config("jungfrau", 1, 16, 520, 1040, module_positions={0: (1034, 515, 5, 2)}),
    EIGER,
    config("eiger", 4, 4, 514, 1030, module_positions=EIGER_MODULE),
    config("gigafrost", 8, 12, 280, 528),
]


@pytest.mark.parametrize("described", CONFIGS, ids=lambda c: f"{c.detector_type}-{c.bit_depth}-{c.image_pixel_height}")
def test_packets_layout_converter_and_simulation_fit_together(described: DetectorConfig) -> None:
    check_detector(open_detector(described))


class ConverterThatForgets:
    def __init__(self, converter: Any) -> None:
        self._converter = converter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._converter, name)

    def convert(
        self, module: int, frame: NDArray[np.uint8], received: NDArray[np.uint64], daq_rec: int, image: NDArray[Any]
    ) -> bool:
        everything = np.full_like(received, 2**64 - 1)
        is_calibrated: bool = self._converter.convert(module, frame, everything, daq_rec, image)
        return is_calibrated


class ForgetfulEiger(Eiger):
    def converter(self) -> Any:
        return ConverterThatForgets(super().converter())


class MisnumberedEiger(Eiger):
    def packets(self, module: int, frame_number: int, raw: NDArray[Any], **more: Any) -> Any:
        return super().packets(module, frame_number + 1, raw, **more)


class MixedUpEiger(Eiger):
    def submodule_of_port(self, port: int) -> int:
        return 3 - port


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (ForgetfulEiger, "without any unit is not filled"),
        (MisnumberedEiger, "the key is not the frame number"),
        (MixedUpEiger, "sends to the port of another one"),
    ],
)
def test_detector_that_breaks_a_rule_is_found_out(wrong: type[Eiger], told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_detector(wrong(EIGER))
