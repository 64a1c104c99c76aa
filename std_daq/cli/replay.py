"""Send recorded packets again, to the ports at which they were recorded, or recorded frames of a chamber."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_number
from std_daq.cli.chamber_options import OF_WAITING, refuse_options
from std_daq.cli.replay_chamber import add_chamber_options, replay_chamber
from std_daq.cli.shared_options import (
    IMAGES_OR_CHAMBER,
    add_destination_options,
    add_json_option,
    add_sending_config_option,
    add_when_requested_option,
)
from std_daq.cli.starting import wait_for_run, wait_for_services
from std_daq.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from std_daq.imaging.config.model import DetectorConfig

_MAX_NAMED = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_sending_config_option(parser)
    parser.add_argument(
        "--rate-hz",
        type=positive_number,
        metavar="R",
        help="frames or events per second; by default as many frames as 100 MB/s allow, as many events as are read",
    )
    add_destination_options(parser)
    add_when_requested_option(parser)
    add_json_option(parser)
    parser.add_argument(
        "captures",
        nargs="+",
        type=Path,
        metavar="CAPTURE",
        help="files <udp port>.dat from std-daq dump, or pcap or pcapng files; of a chamber GRAW or merged files",
    )
    add_chamber_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send; returns the exit code."""
    from std_daq.imaging.config.load import load_config
    from std_daq.tpc.config import is_chamber, load_tpc_config

    if is_chamber(arguments.config):
        return replay_chamber(arguments, load_tpc_config(arguments.config))
    config = load_config(arguments.config, remedy=IMAGES_OR_CHAMBER)
    return _replay_images(arguments, config)


def _replay_images(arguments: argparse.Namespace, config: "DetectorConfig") -> int:
    from std_daq.cli.length_report import port_receptions
    from std_daq.cli.path_checks import check_input_file
    from std_daq.cli.sending import report, senders, transmit
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.reception import describe_reception
    from std_daq.imaging.simulation.replay_sources import open_source
    from std_daq.packets.lengths import CountedSource

    refuse_options(arguments, OF_WAITING, "images", "images are sent at once")
    detector = open_detector(config)
    for capture in arguments.captures:
        check_input_file(capture, "CAPTURE")
    ports = range(config.start_udp_port, config.start_udp_port + detector.n_ports)
    captures = open_source(arguments.captures, ports, detector.packet_layout(0).key)
    source = CountedSource(captures)
    wait_for_services(config)
    if arguments.when_requested:
        wait_for_run(config)
    with senders(arguments, config.udp.place, ports) as sinks:
        sent, exit_code = transmit(source, sinks, arguments.rate_hz, None)
    remarks = describe_reception(port_receptions(detector, source.lengths, {}))
    damages = captures.damages
    report(sent, {"n_damaged": len(damages)} if arguments.json else {}, remarks=remarks, as_json=arguments.json)
    for damage in damages[:_MAX_NAMED]:
        print(f"std-daq replay: damaged, the rest was sent: {damage}", file=sys.stderr)
    if len(damages) > _MAX_NAMED:
        print(f"std-daq replay: {len(damages) - _MAX_NAMED} more places are damaged", file=sys.stderr)
    return exit_code or (EXIT_FAILED if damages else EXIT_DONE)
