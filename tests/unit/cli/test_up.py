"""Which services ``std-daq up`` starts."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli import up
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


@pytest.mark.parametrize(
    ("options", "section", "arguments"),
    [
        ([], None, None),
        ([], {"port": 5001}, ()),
        (["--web"], None, ()),
        (["--web", "5002"], None, ("--port", "5002")),
        (["--web", "5002"], {"port": 5001}, ("--port", "5002")),
    ],
)
def test_console_runs_once_if_configuration_or_command_line_wants_it(
    options: list[str], section: dict[str, Any] | None, arguments: tuple[str, ...] | None
) -> None:
    parser = argparse.ArgumentParser()
    up.add_arguments(parser)
    parsed = parser.parse_args(["--config", "detector.json", *options])
    config = parse_config({**DOCUMENT, **({} if section is None else {"services": {"web": section}})})
    wanted = up._with_web(wanted_instances(config), parsed.web)
    found = [one.instance.arguments for one in wanted if one.instance.name == "web"]
    assert found == ([] if arguments is None else [arguments])
