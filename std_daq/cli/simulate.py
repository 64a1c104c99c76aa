"""Send what a simulated detector or chamber would send; options add faults."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import natural_number, positive_integer, positive_number, probability
from std_daq.cli.chamber_options import refuse_options
from std_daq.cli.shared_options import (
    IMAGES_OR_CHAMBER,
    add_destination_options,
    add_json_option,
    add_sending_config_option,
    add_when_requested_option,
)
from std_daq.cli.simulate_chamber import OF_CHAMBERS, add_chamber_options, simulate_chamber
from std_daq.cli.starting import wait_for_run, wait_for_services
from std_daq.errors import ArgumentError

if TYPE_CHECKING:
    from std_daq.imaging.config.model import DetectorConfig
    from std_daq.packets.faults import FaultInjector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_sending_config_option(parser)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--n-images", type=positive_integer, metavar="N", help="images to send, of a detector")
    wanted.add_argument("--n-events", type=positive_integer, metavar="N", help="events to send, of a chamber")
    parser.add_argument(
        "--rate-hz",
        type=positive_number,
        metavar="R",
        help="images or events per second; by default as many images as 100 MB/s allow, as many events as are read",
    )
    add_destination_options(parser)
    add_when_requested_option(parser)
    parser.add_argument(
        "--pattern", metavar="NAME", help="what the images show; by default the first pattern of the detector"
    )
    parser.add_argument("--loss", type=probability, default=0.0, metavar="P", help="probability that a packet is lost")
    parser.add_argument(
        "--reorder", type=probability, default=0.0, metavar="P", help="probability that a packet is late"
    )
    parser.add_argument(
        "--duplicate", type=probability, default=0.0, metavar="P", help="probability that a packet is sent twice"
    )
    parser.add_argument(
        "--window",
        type=positive_integer,
        default=32,
        metavar="PACKETS",
        help="how many packets a late packet is behind, at most; by default %(default)s",
    )
    parser.add_argument(
        "--restart-at", type=natural_number, metavar="I", help="restart the numbers before image or event I (from 0)"
    )
    parser.add_argument("--first-frame", type=natural_number, default=1, metavar="N", help="number of the first frame")
    parser.add_argument(
        "--first-pulse-id", type=natural_number, default=1, metavar="N", help="pulse id of the first image"
    )
    parser.add_argument(
        "--seed", type=natural_number, default=0, metavar="S", help="seed of what is sent, and of faults"
    )
    parser.add_argument(
        "--ledger", type=Path, metavar="FILE", help="write a list of all packets lost or sent twice, as JSON"
    )
    add_json_option(parser)
    add_chamber_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Send; returns the exit code."""
    from std_daq.imaging.config.load import load_config
    from std_daq.tpc.config import is_chamber, load_tpc_config

    if is_chamber(arguments.config):
        return simulate_chamber(arguments, load_tpc_config(arguments.config))
    config = load_config(arguments.config, remedy=IMAGES_OR_CHAMBER)
    return _simulate_images(arguments, config)


def _simulate_images(arguments: argparse.Namespace, config: "DetectorConfig") -> int:
    from std_daq.cli.path_checks import check_output_file
    from std_daq.cli.sending import report, senders, transmit
    from std_daq.imaging.detectors.registry import open_detector
    from std_daq.imaging.simulation.simulation_source import SimulationSource
    from std_daq.packets.faults import FaultInjector

    refuse_options(arguments, OF_CHAMBERS, "images", "images have --n-images and the options of their own")
    if arguments.ledger is not None:
        check_output_file(arguments.ledger, "--ledger", [arguments.config], in_place=True)
    detector = open_detector(config)
    pattern = arguments.pattern or detector.patterns[0]
    if pattern not in detector.patterns:
        remedy = f"give one of {', '.join(detector.patterns)}"
        raise ArgumentError("--pattern", f"{config.detector_type} has no such pattern", value=pattern, remedy=remedy)
    injector = FaultInjector(
        loss=arguments.loss,
        reorder=arguments.reorder,
        duplicate=arguments.duplicate,
        window=arguments.window,
        seed=arguments.seed,
        keeps_ledger=arguments.ledger is not None,
    )
    source = SimulationSource(
        detector,
        injector,
        n_images=arguments.n_images,
        pattern=pattern,
        seed=arguments.seed,
        first_frame=arguments.first_frame,
        first_pulse_id=arguments.first_pulse_id,
        restart_at=arguments.restart_at,
    )
    wait_for_services(config)
    first_port = config.start_udp_port
    if arguments.when_requested:
        wait_for_run(config)
    with senders(arguments, config.udp.place, range(first_port, first_port + detector.n_ports)) as sinks:
        sent, exit_code = transmit(source, sinks, arguments.rate_hz, arguments.n_images)
    if arguments.ledger is not None:
        _write_ledger(arguments.ledger, injector)
    faults = {
        "n_lost": injector.n_lost,
        "n_duplicated": injector.n_duplicated,
        "n_reordered": injector.n_reordered,
    }
    report(sent, faults, as_json=arguments.json)
    return exit_code


def _write_ledger(file: Path, injector: "FaultInjector") -> None:
    names = ("port", "frame", "packet")
    document = {
        kind: [dict(zip(names, map(int, packet), strict=True)) for packet in packets.tolist()]
        for kind, packets in (("lost", injector.lost), ("duplicated", injector.duplicated))
    }
    file.write_text(json.dumps(document))
