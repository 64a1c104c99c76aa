"""Records the frames of a chamber's exporters."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_integer
from std_daq.cli.chamber_options import refuse_options
from std_daq.cli.console import progress_line
from std_daq.cli.interrupt import StopSignals

if TYPE_CHECKING:
    from std_daq.tpc.config import TpcConfig
    from std_daq.tpc.dumping.frame_dump import FrameDump


def add_chamber_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that only a chamber has."""
    group = parser.add_argument_group("of a chamber (tpc.json)")
    group.add_argument(
        "--n-frames", type=positive_integer, metavar="N", help="end after N frames, counted over all boards"
    )


def dump_chamber(arguments: argparse.Namespace, config: "TpcConfig") -> int:
    """Record; returns exit code 0, or 1 if frames were damaged or cut off, or an exporter was never reached."""
    from std_daq.cli.path_checks import check_output_folder
    from std_daq.tpc.dumping.frame_dump import FrameDump

    refuse_options(arguments, {"n_packets": None}, "a chamber", "a chamber has --n-frames")
    folder: Path = arguments.output
    check_output_folder(folder, "--output")
    folder.mkdir(parents=True, exist_ok=True)
    stop = StopSignals()
    dump = FrameDump(
        folder,
        config.exporters,
        max_frame_bytes=config.builder.max_frame_bytes,
        reconnect_s=config.builder.reconnect_s,
        max_frames=arguments.n_frames,
        duration_s=arguments.duration_s,
    )
    line = progress_line()
    dump.run(stop.event.is_set, lambda dump: line.show(f"{dump.n_frames} frames, {dump.n_bytes / 1e9:.2f} GB"))
    line.end()
    remarks = list(_remarks(dump))
    if arguments.json:
        files = [str(file) for file in dump.files]
        print(json.dumps({"n_frames": dump.n_frames, "n_bytes": dump.n_bytes, "files": files, "remarks": remarks}))
    else:
        print(f"{dump.n_frames} frames recorded, {dump.n_bytes} bytes in {len(dump.files)} files")
        for remark in remarks:
            print(remark)
    return 1 if remarks else 0


def _remarks(dump: "FrameDump") -> list[str]:
    remarks = [f"exporter {address} was never reached" for address in dump.never_reached]
    for fault, n in dump.faults.items():
        remarks.append(f"{n} frames were damaged and not recorded: {fault.name.lower().replace('_', ' ')}")
    if dump.n_cut_off:
        remarks.append(f"{dump.n_cut_off} connections ended within a frame, which is lost")
    return remarks
