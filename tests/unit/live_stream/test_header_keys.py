from std_daq.imaging.config.load import parse_config
from std_live_stream.header_keys import HeaderKeys

CONFIG = {
    "detector_name": "det",
    "detector_type": "jungfrau",
    "n_modules": 3,
    "bit_depth": 16,
    "image_pixel_height": 1536,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
    "module_positions": {"0": [0, 0, 1023, 511], "1": [0, 512, 1023, 1023], "2": [0, 1024, 1023, 1535]},
    "deactivate": [1],
}
OF_DETECTOR = {"detector_name": "det", "module_map": [0, -1, 2], "disabled_modules": [1]}
NOTES = {
    "calibration": [
        {"index": 4, "files": []},
        {
            "index": 5,
            "files": [
                {"role": "pedestal", "path": "/p.h5", "sha256": "00"},
                {"role": "gain", "path": "/g.h5", "sha256": "00"},
                {"role": "mask", "path": "/m.h5", "sha256": "00"},
            ],
        },
    ]
}


def test_modules_that_are_off_are_told() -> None:
    assert HeaderKeys(parse_config(CONFIG)).keys(0) == OF_DETECTOR


def test_files_are_those_that_were_applied_to_the_image() -> None:
    description = HeaderKeys(parse_config(CONFIG))
    description.learn(NOTES)
    assert description.keys(5) == OF_DETECTOR | {"pedestal_file": "/p.h5", "gain_file": "/g.h5"}
    assert description.keys(4) == OF_DETECTOR
    assert (description.knows(5), description.knows(6)) == (True, False)


def test_calibrations_of_a_ring_that_was_replaced_are_forgotten() -> None:
    description = HeaderKeys(parse_config(CONFIG))
    description.learn(NOTES)
    description.forget_calibrations()
    assert description.keys(5) == OF_DETECTOR
