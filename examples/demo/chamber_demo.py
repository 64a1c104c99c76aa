"""A time-projection chamber: simulated exporters, events built and recorded, and what the analysis makes of them.

Starts all services and a RabbitMQ, simulates 40 boards whose streams have faults, has a merged file written, compares
each event with what was sent, and the estimates with the tracks that were simulated.
"""

import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from steps import step

from std_daq.client import DaqClient
from std_daq.recording.requests import Action, RunReport
from std_daq.tpc.config import load_tpc_config
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.merged.event import MergedEvent
from std_daq.tpc.merged.reader import MergedFile
from std_daq.tpc.pads.channel_map import write_channel_map
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_daq.tpc.reconstruction.results import EventResult
from std_daq.tpc.simulation.chamber import SimulatedChamber
from std_daq.tpc.simulation.invented_map import ATTPC_BOARDS, invented_map
from std_daq.tpc.simulation.readout import Readout

N_EVENTS = 16
RATE_HZ = 8.0
N_EXPORTERS = 10
SEED = 5
RUN_TIMEOUT_S = 120.0
FAULTS = ("--lag", "3=5", "--duplicate", "0.05", "--garbage-sizes", "0.1", "--zero-sizes", "0.05")
# An estimate belongs to the track that is nearest, by rigidity and polar angle, within so much.
NEAR_BRHO, NEAR_POLAR = 0.15, math.radians(15)
MIN_MATCHES = 8
# As published for the original on simulated events.
MAX_BRHO_ERROR, MAX_POLAR_ERROR = 0.038, math.radians(2.8)


@dataclass(frozen=True)
class Match:
    """A simulated track and the estimate that belongs to it."""

    event: int
    track: dict[str, Any]
    estimate: np.void


def run(output: Path) -> int:
    """Run the demo; returns 0 if everything is as it has to be."""
    from demo import services

    folder = output.absolute() / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    console = Console(stderr=True)
    config_file = prepare(folder)
    merged, truth = folder / "run_0001.h5", folder / "truth.json"
    with tempfile.TemporaryDirectory(prefix="std-daq-demo-") as runtime:  # the paths of sockets have to be short
        os.environ["STD_DAQ_RUNTIME_DIR"] = runtime
        with (
            services(config_file, folder / "services.log", console),
            step(console, f"{N_EVENTS} events are simulated, built and recorded"),
        ):
            report = record(config_file, merged, truth)
    with step(console, "each event is compared with what was sent"):
        events = list(MergedFile(merged))
        problems = [*differences(config_file, report, events)]
    with step(console, "each event is analysed"):
        results = analyse(config_file, events)
        matches = list(match(json.loads(truth.read_text()), results))
    problems += wrong_estimates(matches)
    with step(console, "pictures are drawn"):
        pictures = draw(folder, results, matches)
    summarise(report, matches, problems, pictures)
    return 1 if problems else 0


def prepare(folder: Path) -> Path:
    """Write the chamber's configuration and its channel map, which is invented."""
    write_channel_map(folder / "channel_map.csv", invented_map(ATTPC_BOARDS))
    config = {
        "detector_name": f"demo-{os.getpid()}",
        "detector_type": "get-tpc",
        "exporters": [f"127.0.0.1:{port}" for port in free_ports(N_EXPORTERS)],
        "pads": {"electronics": "channel_map.csv", "geometry": "attpc", "scale": "attpc", "beam_radius_mm": 20.0},
        "builder": {"ram_buffer_gb": 0.3, "time_limit_s": 5.0},
        "writer": {"output_roots": [str(folder)], "image_timeout_s": 20.0, "min_free_gb": 0.1},
    }
    file = folder / "tpc.json"
    file.write_text(json.dumps(config, indent=2))
    return file


def free_ports(n: int) -> list[int]:
    """Return TCP ports that are free now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def record(config_file: Path, merged: Path, truth: Path) -> RunReport:
    """Have a merged file written while the chamber is simulated."""
    client = DaqClient(config_file)
    with client.write(merged, n_images=N_EVENTS) as run:
        status = run.poll(RUN_TIMEOUT_S)
        if status is None or status.action is not Action.ACCEPTED:
            raise SystemExit(f"{merged.name} was not accepted: {status.message if status else 'no answer'}")
        arguments = ("--n-events", str(N_EVENTS), "--rate-hz", str(RATE_HZ), "--seed", str(SEED), *FAULTS)
        command = [sys.executable, "-m", "std_daq.cli", "simulate", "--config", str(config_file), *arguments]
        subprocess.run([*command, "--truth", str(truth)], check=True, stdout=subprocess.DEVNULL)
        return run.wait(RUN_TIMEOUT_S)


def differences(config_file: Path, report: RunReport, events: list[MergedEvent]) -> Iterator[str]:
    """Tell where the file is not what was sent: each event is simulated once more, without faults."""
    if (report.n_written, report.n_incomplete, report.n_lost) != (N_EVENTS, 0, 0):
        yield f"{report.n_written} of {N_EVENTS} events written, {report.n_incomplete} incomplete, {report.n_lost} lost"
    if sorted(event.id or 0 for event in events) != list(range(N_EVENTS)):
        yield f"the file has the events {[event.id for event in events]}"
    config = load_tpc_config(config_file)
    plane = load_pads(config.pads)
    chamber = SimulatedChamber(plane, plane.boards, config.analysis.detector, seed=SEED)
    readout = Readout(chamber, n_made=N_EVENTS, rate_hz=RATE_HZ, seed=SEED)
    decoder = EventDecoder(plane)
    for event in events:
        frames = [parse_frame(frame.data) for frame in readout.event(event.id or 0).frames]
        sent = decoder.decode([frame for frame in frames if isinstance(frame, Frame)])
        if not np.array_equal(event.traces, sent):
            yield f"event {event.id} is not what was sent"


def analyse(config_file: Path, events: list[MergedEvent]) -> list[EventResult]:
    """Return what the analysis makes of the events."""
    config = load_tpc_config(config_file)
    pipeline = Pipeline(load_pads(config.pads), config.analysis)
    return [pipeline.run(event.id or 0, event.epoch or 0, event.traces) for event in events]


def match(truth: dict[str, Any], results: list[EventResult]) -> Iterator[Match]:
    """Yield the tracks for which there is an estimate; each estimate is used once."""
    found = {result.id: result for result in results}
    for event in truth["events"]:
        if event["id"] not in found:
            continue
        left = list(found[event["id"]].estimates)
        for track in event["tracks"]:
            distances = [distance(track, estimate) for estimate in left]
            if distances and min(distances) < 1:
                yield Match(event["id"], track, left.pop(int(np.argmin(distances))))


def distance(track: dict[str, Any], estimate: np.void) -> float:
    """Return how far an estimate is from a track; 1 is the largest that belongs to it."""
    brho = abs(estimate["brho"] / track["brho"] - 1) / NEAR_BRHO
    return float(max(brho, abs(estimate["polar"] - track["polar"]) / NEAR_POLAR))


def errors(matches: list[Match]) -> tuple[float, float]:
    """Return the median errors: of the rigidity as a part of it, and of the polar angle in radians."""
    brho = [abs(one.estimate["brho"] / one.track["brho"] - 1) for one in matches]
    return float(np.median(brho)), float(
        np.median([abs(one.estimate["polar"] - one.track["polar"]) for one in matches])
    )


def wrong_estimates(matches: list[Match]) -> list[str]:
    """Tell whether the estimates are worse than they should be."""
    if len(matches) < MIN_MATCHES:
        return [f"only {len(matches)} tracks have an estimate"]
    brho, polar = errors(matches)
    if brho > MAX_BRHO_ERROR or polar > MAX_POLAR_ERROR:
        return [f"the median errors are too large: {brho:.1%} of the rigidity, {math.degrees(polar):.1f} degrees"]
    return []


def draw(folder: Path, results: list[EventResult], matches: list[Match]) -> list[Path]:
    """Draw an event, and the estimates against the truth; returns the pictures."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    result = max(results, key=lambda one: len(one.estimates))
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    x, y, z = result.cloud[:, :3].T
    for axis, across, names in ((axes[0], y, ("x, mm", "y, mm")), (axes[1], np.hypot(x, y), ("z, mm", "rho, mm"))):
        along = x if axis is axes[0] else z
        axis.scatter(along, across, c=colours(result.labels), s=6)
        axis.set(xlabel=names[0], ylabel=names[1])
    axes[0].set_aspect("equal")
    figure.suptitle(f"event {result.id}: {len(result.cloud)} points, {len(result.estimates)} estimates")
    figure.savefig(folder / "event.png", dpi=100)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for axis, name, unit, scale in ((axes[0], "brho", "T m", 1.0), (axes[1], "polar", "degrees", 180 / math.pi)):
        true = [one.track[name] * scale for one in matches]
        axis.plot(true, true, color="grey", linewidth=1)
        axis.scatter(true, [one.estimate[name] * scale for one in matches], s=16)
        axis.set(xlabel=f"{name} simulated, {unit}", ylabel=f"{name} estimated, {unit}")
    figure.savefig(folder / "estimates.png", dpi=100)
    plt.close("all")
    return [folder / "event.png", folder / "estimates.png"]


def colours(labels: NDArray[np.int32]) -> list[str]:
    """Return a colour for each label; points of no cluster are grey."""
    return ["lightgrey" if label < 0 else f"C{label % 10}" for label in labels.tolist()]


def summarise(report: RunReport, matches: list[Match], problems: list[str], pictures: list[Path]) -> None:
    """Print what happened."""
    title = f"{report.n_written} events of 40 boards: tracks that were simulated, and their estimates"
    table = Table(
        "event", "ion", "brho, T m", "estimate", "polar, degrees", "estimate", "z, mm", "estimate", title=title
    )
    for one in matches:
        pairs = (("brho", 1.0, 3), ("polar", 180 / math.pi, 1), ("vertex_z", 1.0, 0))
        cells = [f"{side[name] * scale:.{n}f}" for name, scale, n in pairs for side in (one.track, one.estimate)]
        table.add_row(str(one.event), one.track["species"], *cells)
    console = Console(width=100)
    console.print(table)
    if matches:
        brho, polar = errors(matches)
        console.print(f"median errors: {brho:.1%} of the rigidity, {math.degrees(polar):.1f} degrees")
    for problem in problems:
        console.print(f"[red]{problem}")
    if not problems:
        console.print("all events are complete, and each sample is as it was sent, faults of the streams or not")
    for file in (*report.files, *pictures):
        console.print(str(file), soft_wrap=True, highlight=False)
