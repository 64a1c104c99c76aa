"""Which services ``std-daq up`` starts."""

from pathlib import Path
from typing import Any

import pytest

from std_daq.imaging.config.load import parse_config
from std_daq.service.registry import wanted_instances

DOCUMENT = {
    "detector_name": "det",
    "detector_type": "eiger",
    "n_modules": 2,
    "bit_depth": 16,
    "image_pixel_height": 256,
    "image_pixel_width": 1028,
    "start_udp_port": 50000,
    "module_positions": {"0": [0, 0, 513, 255], "1": [514, 0, 1027, 255]},
    "number_of_writers": 2,
}
WRITING = ["writer-agent", "h5-writer-0", "h5-writer-1"]
SEND = {"send": [{"address": "tcp://127.0.0.1:9700"}, {"address": "tcp://127.0.0.1:9701"}]}
RECEIVE = {"receive": {"sources": ["tcp://near:9700"]}}


@pytest.mark.parametrize(
    ("changes", "instances"),
    [
        ({}, ["udp-recv", "assembler", *WRITING]),
        ({"udp": {"receivers": ["0", "1"]}}, ["udp-recv-0-0", "udp-recv-1-1", "assembler", *WRITING]),
        ({"replication": SEND}, ["udp-recv", "assembler", *WRITING, "stream-send-0", "stream-send-1"]),
        ({"replication": RECEIVE}, ["stream-recv", *WRITING]),
        ({"replication": SEND | RECEIVE}, ["stream-recv", *WRITING, "stream-send-0", "stream-send-1"]),
    ],
)
def test_services_are_those_of_the_configuration(changes: dict[str, Any], instances: list[str]) -> None:
    config = parse_config({**DOCUMENT, **changes})
    commands = [one.command(Path("detector.json")) for one in wanted_instances(config)]
    assert sorted(command.instance for command in commands) == sorted(instances)
