"""Send recorded packets again, to the ports that they were recorded from."""

import argparse
from pathlib import Path

from std_daq.cli.argument_types import positive_number
from std_daq.cli.shared_options import add_images_config_option, add_json_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_images_config_option(parser)
    parser.add_argument(
        "--rate-hz", type=positive_number, metavar="R", help="frames a second; by default about 100 MB/s"
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to send to")
    add_json_option(parser)
    parser.add_argument(
        "captures",
        nargs="+",
        type=Path,
        metavar="CAPTURE",
        help="files <udp port>.dat as std-daq dump writes them, or pcap and pcapng files",
    )


def run(arguments: argparse.Namespace) -> int:
    """Send; returns the exit code."""
    from std_daq.cli.path_checks import check_input_file
    from std_daq.cli.sending import report, senders, transmit
    from std_daq.imaging.config.load import load_config
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.simulation.replay_sources import open_source

    config = load_config(arguments.config)
    detector = open_detector(config)
    for capture in arguments.captures:
        check_input_file(capture, "CAPTURE")
    ports = range(config.start_udp_port, config.start_udp_port + detector.n_ports)
    source = open_source(arguments.captures, ports, detector.packet_layout(0).key)
    with senders(arguments.host, ports) as sinks:
        sent, exit_code = transmit(source, sinks, arguments.rate_hz, None)
    report(sent, {}, as_json=arguments.json)
    return exit_code
