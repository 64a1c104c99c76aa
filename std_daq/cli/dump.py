"""Record what a detector or a chamber sends, until a limit is reached or Ctrl-C.

Packets go into one capture file per port, frames of a chamber into one GRAW file per board.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_integer, positive_number
from std_daq.cli.chamber_options import refuse_options
from std_daq.cli.console import progress_line
from std_daq.cli.dump_chamber import add_chamber_options, dump_chamber
from std_daq.cli.interrupt import StopSignals
from std_daq.cli.shared_options import IMAGES_OR_CHAMBER, add_json_option, add_sending_config_option
from std_daq.errors import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from std_daq.imaging.config.model import DetectorConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_sending_config_option(parser)
    parser.add_argument("--output", required=True, type=Path, metavar="DIRECTORY", help="folder for the capture files")
    parser.add_argument(
        "--n-packets", type=positive_integer, metavar="N", help="end after N packets, counted over all ports"
    )
    parser.add_argument("--duration-s", type=positive_number, metavar="SECONDS", help="end after this time")
    add_json_option(parser)
    add_chamber_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Record; returns exit code 0, or 1 if not all was recorded."""
    from std_daq.imaging.config.load import load_config
    from std_daq.tpc.config import is_chamber, load_tpc_config

    if is_chamber(arguments.config):
        return dump_chamber(arguments, load_tpc_config(arguments.config))
    return _dump_packets(arguments, load_config(arguments.config, remedy=IMAGES_OR_CHAMBER))


def _dump_packets(arguments: argparse.Namespace, config: "DetectorConfig") -> int:
    from std_daq.cli.length_report import port_receptions
    from std_daq.cli.path_checks import check_new_file, check_output_folder
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.reception import describe_reception
    from std_daq.packets.captures import capture_path
    from std_daq.packets.dump import Dump

    refuse_options(arguments, {"n_frames": None}, "images", "images have --n-packets")
    detector = open_detector(config)
    ports = range(config.start_udp_port, config.start_udp_port + detector.n_ports)
    output: Path = arguments.output
    check_output_folder(output, "--output")
    if output.exists():
        for port in ports:
            check_new_file(capture_path(output, port), "--output", "give another folder")
    stop, line = StopSignals(), progress_line()
    with Dump(
        output,
        place=config.udp.place,
        ports=ports,
        max_packets=arguments.n_packets,
        duration_s=arguments.duration_s,
        progress=lambda dump: line.show(f"{dump.n_packets} packets"),
    ) as dump:
        dump.run(stop.event.is_set)
        line.end()
        n_packets, n_dropped = dump.n_packets, dump.n_dropped
        lengths = {port.port: dict(sorted(port.lengths.items())) for port in dump.ports}
        drops = {port.port: port.n_dropped for port in dump.ports}
    remarks = describe_reception(port_receptions(detector, lengths, drops))
    if arguments.json:
        print(json.dumps({"n_packets": n_packets, "n_dropped": n_dropped, "lengths": lengths, "remarks": remarks}))
    else:
        print(f"{n_packets} packets recorded, {n_dropped} dropped by the kernel")
        for remark in remarks:
            print(remark)
    if not n_packets:
        print("std-daq dump: nothing was recorded", file=sys.stderr)
    return EXIT_DONE if n_packets and not n_dropped else EXIT_FAILED
