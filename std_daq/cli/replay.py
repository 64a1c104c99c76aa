"""Send recorded packets again, to the ports at which they were recorded."""

import argparse
from pathlib import Path

from std_daq.cli.argument_types import positive_number
from std_daq.cli.shared_options import add_images_config_option, add_json_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_images_config_option(parser)
    parser.add_argument(
        "--rate-hz", type=positive_number, metavar="R", help="frames per second; by default as many as 100 MB/s allow"
    )
    parser.add_argument("--host", default="127.0.0.1", help="host to which the packets go; by default %(default)s")
    add_json_option(parser)
    parser.add_argument(
        "captures",
        nargs="+",
        type=Path,
        metavar="CAPTURE",
        help="files <udp port>.dat from std-daq dump, or pcap or pcapng files",
    )


def run(arguments: argparse.Namespace) -> int:
    """Send the packets; returns the exit code."""
    from std_daq.cli.length_report import port_receptions
    from std_daq.cli.path_checks import check_input_file
    from std_daq.cli.sending import report, senders, transmit
    from std_daq.imaging.config.load import load_config
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.reception import describe_reception
    from std_daq.imaging.simulation.replay_sources import open_source
    from std_daq.packets.lengths import CountedSource

    config = load_config(arguments.config)
    detector = open_detector(config)
    for capture in arguments.captures:
        check_input_file(capture, "CAPTURE")
    ports = range(config.start_udp_port, config.start_udp_port + detector.n_ports)
    source = CountedSource(open_source(arguments.captures, ports, detector.packet_layout(0).key))
    with senders(arguments.host, ports) as sinks:
        sent, exit_code = transmit(source, sinks, arguments.rate_hz, None)
    remarks = describe_reception(port_receptions(detector, source.lengths, {}))
    report(sent, {}, remarks=remarks, as_json=arguments.json)
    return exit_code
