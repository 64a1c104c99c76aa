"""Analyse merged files or GRAW files of a chamber: clouds, clusters and estimates, as HDF5 or Parquet.

The result is the same to the bit, whatever the number of workers, and whether it is made online or later. If the
command is interrupted, the same command goes on where it ended.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import positive_integer, scheduler_address
from std_daq.cli.shared_options import add_config_option, add_json_option
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ArgumentError

if TYPE_CHECKING:
    from std_daq.tpc.offline.execution import Execution


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("file", type=Path, nargs="+", metavar="FILE", help="merged files, or GRAW files of a run")
    add_config_option(parser)
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="PATH",
        help="the result: .h5 with everything, or .parquet with the estimates",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=positive_integer, metavar="N", help="number of processes; by default one for each core"
    )
    where.add_argument(
        "--dask", type=scheduler_address, metavar="ADDRESS", help="scheduler of a Dask cluster that does the work"
    )
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Analyse the files; returns the exit code."""
    from std_daq.cli.analysis_progress import AnalysisProgress
    from std_daq.cli.path_checks import check_given_once, check_input_file, check_output_file
    from std_daq.tpc.config import load_tpc_config
    from std_daq.tpc.offline.analysis import FileAnalysis
    from std_daq.tpc.offline.result_file import HDF5_SUFFIXES, PARQUET_SUFFIX, is_result
    from std_daq.tpc.offline.sources import open_source

    config = load_tpc_config(arguments.config)
    for file in arguments.file:
        check_input_file(file, "FILE")
    check_given_once(arguments.file, "FILE")
    inputs = [*arguments.file, arguments.config]
    check_output_file(arguments.output, "--output", inputs, endings=(*HDF5_SUFFIXES, PARQUET_SUFFIX))
    if arguments.output.exists() and not is_result(arguments.output):
        raise ArgumentError(
            "--output",
            "the file exists, and is no result of an analysis",
            value=arguments.output,
            remedy="give another name, or remove it",
        )
    source = open_source(arguments.file, config)
    execution = _execution(arguments)
    started = time.monotonic()
    with AnalysisProgress(source.n_events) as progress:
        report = FileAnalysis(source, arguments.file, config, arguments.output).run(execution, progress.add)
    seconds = time.monotonic() - started
    if arguments.json:
        print(json.dumps({"path": str(arguments.output), "seconds": round(seconds, 3), **asdict(report)}))
    else:
        kept = f", {report.n_kept} of them done before" if report.n_kept else ""
        print(
            f"{arguments.output}: {report.n_events} events{kept}, {report.n_points} points, "
            f"{report.n_estimates} estimates, {seconds:.1f} s"
        )
    if not report.n_events:
        print("std-daq analyse: no event is in the files: the result is empty", file=sys.stderr)
    return EXIT_DONE if report.n_events else EXIT_FAILED


def _tell(text: str) -> None:
    print(f"std-daq analyse: {text}", file=sys.stderr, flush=True)


def _execution(arguments: argparse.Namespace) -> "Execution":
    from std_daq.tpc.offline.execution import InProcesses, InThisProcess, OnDask

    if arguments.dask is not None:
        return OnDask(arguments.dask, tell=_tell)
    n_workers = arguments.workers or len(os.sched_getaffinity(0))
    return InThisProcess() if n_workers == 1 else InProcesses(n_workers)
