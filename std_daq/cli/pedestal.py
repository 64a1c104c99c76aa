"""Make a pedestal file from dark images of the running detector.

Take dark images in forced gain 0, 1 and 2, in any order. The command reads the gain from the gain bits, and ends when
it has enough images of each gain. JUNGFRAU's pedestal mode, which forces single images, does as well. At least
std-udp-recv must run. The configured conversion and mask are not applied. If something does not come, the file has what
came, and --add-to completes it.
"""

import argparse
import datetime as dt
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from std_daq.cli.argument_types import natural_number, positive_integer, positive_number
from std_daq.cli.interrupt import StopSignals
from std_daq.cli.shared_options import add_images_config_option, add_json_option
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ConfigError, ResourceError

if TYPE_CHECKING:
    from std_daq.imaging.buffers.frame_follower import FrameFollower
    from std_daq.imaging.detectors.pedestal_run import PedestalRun

_LOG_PERIOD_S = 5.0
_WAIT_S = 0.1
_MAX_NAMED = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_images_config_option(parser)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--output", type=Path, metavar="FILE", help="the pedestal file to write")
    target.add_argument(
        "--add-to", type=Path, metavar="FILE", help="a pedestal file of an earlier run, which keeps its images"
    )
    parser.add_argument(
        "--n-images-per-gain",
        type=positive_integer,
        default=1000,
        metavar="N",
        help="complete images of each gain; by default %(default)s",
    )
    parser.add_argument(
        "--n-skipped",
        type=natural_number,
        default=10,
        metavar="N",
        help="images to skip after a change of gain; by default %(default)s",
    )
    parser.add_argument("--high-gain", action="store_true", help="also take images in high gain 0")
    parser.add_argument(
        "--timeout-s",
        type=positive_number,
        default=60.0,
        metavar="SECONDS",
        help="longest wait for an image; by default %(default)s",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Collect the images and write the file; returns the exit code."""
    from std_daq.cli.path_checks import check_input_file, check_new_file, check_output_file
    from std_daq.imaging.buffers.frame_follower import FrameFollower
    from std_daq.imaging.config.load import load_config
    from std_daq.imaging.detectors.pedestal_run import HasPedestals
    from std_daq.imaging.detectors.registry import open_detector

    config = load_config(arguments.config)
    detector = open_detector(config)
    if not isinstance(detector, HasPedestals):
        raise ConfigError(
            "this detector has no pedestals", file=arguments.config, key="detector_type", value=config.detector_type
        )
    if arguments.add_to is not None:
        check_input_file(arguments.add_to, "--add-to")
        check_output_file(arguments.add_to, "--add-to", [arguments.config])
    elif arguments.overwrite:
        check_output_file(arguments.output, "--output", [arguments.config])
    else:
        check_new_file(arguments.output, "--output", "give another name, or add --overwrite")
    path = arguments.add_to or arguments.output
    pedestals = detector.pedestal_run(n_skipped=arguments.n_skipped)
    if arguments.add_to is not None:
        pedestals.add_file(path)
    stages = detector.pedestal_stages(with_high_gain=arguments.high_gain)
    stop = StopSignals()
    frames = FrameFollower(config)
    try:
        shortfall = _collect(frames, pedestals, stages, stop, arguments)
    finally:
        frames.close()
    if not pedestals.has_frames:
        return stop.exit_code
    attributes = {
        "detector_name": config.name,
        "taken_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "software_version": version("std-daq"),
    }
    is_replaced = arguments.overwrite or arguments.add_to is not None
    summary = pedestals.write(path, attributes=attributes, overwrite=is_replaced)
    missing = pedestals.missing(stages, arguments.n_images_per_gain)
    if arguments.json:
        counts = {"summary": summary, "n_frames": pedestals.n_frames, "missing": missing}
        print(json.dumps({"file": str(path), **counts}))
    else:
        print(f"{path}: {summary}")
    if shortfall:
        _tell_what_is_missing(path, shortfall, missing)
    return stop.exit_code or (EXIT_FAILED if shortfall else EXIT_DONE)


def _tell_what_is_missing(path: Path, shortfall: str, missing: list[str]) -> None:
    more = f" and {len(missing) - _MAX_NAMED} others" if len(missing) > _MAX_NAMED else ""
    print(
        f"std-daq pedestal: {shortfall}; missing: {'; '.join(missing[:_MAX_NAMED])}{more}; "
        f"to complete it: std-daq pedestal --add-to {path}",
        file=sys.stderr,
    )


def _collect(
    frames: "FrameFollower",
    pedestals: "PedestalRun",
    stages: tuple[str, ...],
    stop: StopSignals,
    arguments: argparse.Namespace,
) -> str:
    """Collect images until there are enough; return why there are not, or nothing.

    Raises
    ------
    ResourceError
        No image came at all.
    """
    n_wanted: int = arguments.n_images_per_gain
    n_added = 0
    with _StageProgress(stages, n_wanted) as progress:
        last_s = time.monotonic()
        progress.update(pedestals)
        while not progress.is_done:
            if stop.event.is_set():
                return "ended by a signal"
            frames.wait(_WAIT_S)
            for frame in frames.read():
                last_s = time.monotonic()
                pedestals.add(frame.submodule, frame.pixels, frame.daq_rec)
                n_added += 1
            progress.update(pedestals)
            if time.monotonic() - last_s > arguments.timeout_s:
                shortfall = (
                    f"no complete image arrived for {arguments.timeout_s:g} s; taken so far: {progress.text}; "
                    f"{frames.n_incomplete} frames were incomplete, {frames.n_overwritten} overwritten"
                )
                if n_added == 0 or not pedestals.has_frames:
                    raise ResourceError(shortfall)
                return shortfall
    return ""


class _StageProgress:
    """Shows the progress on standard error: bars on a terminal, otherwise a log line every few seconds."""

    def __init__(self, stages: tuple[str, ...], n_wanted: int) -> None:
        from std_daq.telemetry.logs import get_logger
        from std_daq.telemetry.progress_bars import progress_bars

        self._n_wanted = n_wanted
        self._n_taken = dict.fromkeys(stages, 0)
        self._next_log_s = 0.0
        self._log = get_logger()
        self._bars = progress_bars("none")
        self._tasks = {stage: self._bars.add_task(stage, total=n_wanted) for stage in stages}

    @property
    def is_done(self) -> bool:
        """Whether each stage has enough images."""
        return all(n >= self._n_wanted for n in self._n_taken.values())

    @property
    def text(self) -> str:
        """Number of images taken in each stage, as text."""
        return ", ".join(f"{stage} {n}" for stage, n in self._n_taken.items())

    def update(self, pedestals: "PedestalRun") -> None:
        """Show the number of images that the run has taken."""
        taken = pedestals.n_frames
        for stage, task in self._tasks.items():
            self._n_taken[stage] = min(taken[stage], self._n_wanted)
            self._bars.update(task, completed=self._n_taken[stage])
        if self._bars.disable and (self.is_done or time.monotonic() > self._next_log_s):
            self._next_log_s = time.monotonic() + _LOG_PERIOD_S
            self._log.info("dark_images", wanted_of_each=self._n_wanted, **self._n_taken)

    def __enter__(self) -> "_StageProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
