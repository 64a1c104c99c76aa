"""Convert a detector that RAT or Geant4 exported (GDML) to a geometry file for std-sim-worker."""

import argparse
import math
from pathlib import Path

from std_daq.cli.path_checks import check_input_file, check_output_file
from std_daq.errors import EXIT_DONE, EXIT_WRONG_CALL, ArgumentError
from std_daq.folders.new_file import NewFile
from std_daq.number_arguments import integer, number
from std_daq.photons.importing.report import ImportReport

SEGMENTS = (6, 1024)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("detector", type=Path, metavar="DETECTOR.gdml")
    parser.add_argument(
        "--ratdb", type=Path, nargs="+", action="extend", default=[], metavar="FILE",
        help="tables of RAT, as text or dump: places, types and efficiencies of its PMTs",
    )  # fmt: skip
    parser.add_argument(
        "--sensors", metavar="REGEX",
        help="volumes and placements with a name like this are sensors; by default sensitive detectors (SensDet)",
    )  # fmt: skip
    parser.add_argument(
        "--efficiency-scale", type=_positive, default=1.0, metavar="F",
        help="multiply each EFFICIENCY, as for RAT's thin_factor; the product is at most 1",
    )  # fmt: skip
    parser.add_argument(
        "--segments", type=_segments, default=64, metavar="N", help="facets a turn of what is round and not analytic"
    )
    parser.add_argument(
        "--ideal-sensors", action="store_true", help="sensors without a surface that detects light detect all of it"
    )
    parser.add_argument("--strict", action="store_true", help="refuse a detector that cannot be represented completely")
    parser.add_argument("--table", action="store_true", help="also print each kind of boundary, and how many there are")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--output", type=Path, metavar="FILE.json", help="the geometry file to write")
    action.add_argument("--list", action="store_true", help="print the channels: number, name, x y z, copy number")


def run(arguments: argparse.Namespace) -> int:
    """Convert, or list channels; returns the exit code."""
    if arguments.output is not None and arguments.output.suffix in {".yaml", ".yml"}:
        raise ArgumentError("--output", "the file is JSON", value=arguments.output, remedy="end its name in .json")
    check_input_file(arguments.detector, "DETECTOR.gdml")
    for table in arguments.ratdb:
        check_input_file(table, "--ratdb")
    if arguments.output is not None:
        check_output_file(arguments.output, "--output", [arguments.detector, *arguments.ratdb])
    report = ImportReport()
    return _list_channels(arguments, report) if arguments.list else _convert(arguments, report)


def _list_channels(arguments: argparse.Namespace, report: ImportReport) -> int:
    from std_daq.photons.importing.convert import read_detector

    _, sensors = read_detector(arguments.detector, tables=arguments.ratdb, pattern=arguments.sensors, report=report)
    for sensor in sensors:
        x, y, z = (f"{round(float(one), 6) + 0.0:.6f}" for one in sensor.position)
        print(sensor.channel, sensor.name, x, y, z, sensor.path[-1].copy_number)
    return EXIT_DONE


def _convert(arguments: argparse.Namespace, report: ImportReport) -> int:
    from std_daq.photons.importing.convert import convert_detector, count_boundaries, count_channels, geometry_text
    from std_daq.photons.importing.geometry import ConversionOptions

    options = ConversionOptions(arguments.segments, arguments.efficiency_scale, arguments.ideal_sensors)
    geometry = convert_detector(
        arguments.detector, tables=arguments.ratdb, pattern=arguments.sensors, options=options, report=report
    )
    for loss in report.not_representable:
        print(f"not representable: {loss}")
    for note in report.notes:
        print(f"note: {note}")
    if arguments.strict and report.not_representable:
        print(f"{arguments.output}: not written, because of --strict")
        return EXIT_WRONG_CALL
    _write(arguments.output, geometry_text(geometry))
    boundaries = count_boundaries(geometry)
    if arguments.table:
        for (part, shape, inner, outer, surface), n in boundaries.items():
            where = f" of part '{part}'" if part else ""
            print(f"{n:7} {shape}{where}: {inner} | {outer}" + (f", {surface}" if surface else ""))
    counts = count_channels(geometry), boundaries.total(), len(geometry["materials"])
    print("{}: {} channels, {} boundaries, {} materials".format(arguments.output, *counts))
    return EXIT_DONE


def _write(path: Path, text: str) -> None:
    """Write a file at once: who reads it never finds a part of it."""
    with NewFile(path) as new:
        new.write(text.encode())
        new.replace()


def _positive(text: str) -> float:
    value = number(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not above 0")
    return value


def _segments(text: str) -> int:
    value = integer(text)
    if not SEGMENTS[0] <= value <= SEGMENTS[1]:
        raise argparse.ArgumentTypeError(f"{value} is not from {SEGMENTS[0]} to {SEGMENTS[1]}")
    return value
