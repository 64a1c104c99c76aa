"""The main job of std-daq on one machine: packets of a simulated JUNGFRAU become NeXus files, by request.

Starts all services and a RabbitMQ, simulates a detector of four modules whose network loses packets, has two runs
written, compares every pixel of the files with what was simulated, and ends everything.
"""

import argparse
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - HDF5 finds the compression of the files
import numpy as np
from calibration import COLUMNS, ROWS, Calibration
from numpy.typing import NDArray
from rich.console import Console
from rich.status import Status
from rich.table import Table
from steps import step

from std_daq.client import DaqClient
from std_daq.imaging.config.load import load_config
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.files.picture import write_picture
from std_daq.imaging.files.validate import validate
from std_daq.imaging.simulation.simulation_source import SimulationSource
from std_daq.packets.faults import FaultInjector
from std_daq.packets.sending import PacketSender
from std_daq.packets.transmission import Transmission
from std_daq.recording.requests import Action, RunReport, Verdict

N_MODULES = 4
N_IMAGES = 40
RATE_HZ = 20.0
WEB_RATE_HZ = 10.0
N_ENDLESS = 1_000_000_000
LOSS = 0.0005
ROWS_OF_A_PACKET = 4
PACKETS_OF_A_FRAME = 128
READY_TIMEOUT_S = 180.0
RUN_TIMEOUT_S = 60.0
LOOK_S = 0.2
STARTING = "RabbitMQ and the services start"


@dataclass(frozen=True)
class Outcome:
    """One run: what was asked for, what came of it, and what is wrong."""

    name: str
    report: RunReport
    ledger: FaultInjector
    problems: list[str]
    seconds: float
    n_bytes: int


def main() -> int:
    """Run the demo; returns 0 if everything is as it has to be."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder for the files")
    parser.add_argument(
        "--live", action="store_true", help="show the live images of a simulated telescope array instead"
    )
    parser.add_argument("--photons", action="store_true", help="simulate photons with a farm of workers instead")
    parser.add_argument("--events", action="store_true", help="show the events of a simulated chamber instead")
    parser.add_argument(
        "--web", action="store_true", help="show a simulated detector in the browser instead, until Ctrl-C"
    )
    parser.add_argument("--port", type=int, default=5000, help="with --web: port of the page")
    parser.add_argument("--seconds", type=float, default=10.0, help="with --live: how long the clients look")
    arguments = parser.parse_args()
    if arguments.live:
        from live_demo import run

        return run(arguments.output, arguments.seconds)
    if arguments.photons:
        from photon_demo import run as run_farm

        return run_farm(arguments.output)
    if arguments.events:
        from chamber_demo import run as run_chamber

        return run_chamber(arguments.output)
    output: Path = arguments.output.absolute()
    folder = output / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    console = Console(stderr=True)
    runtime = Path(tempfile.mkdtemp(prefix="std-daq-demo-"))
    os.environ["STD_DAQ_RUNTIME_DIR"] = str(runtime)
    try:
        with step(console, "a detector and its calibration are made up"):
            config_file, calibration = prepare(folder)
        if arguments.web:
            keep_open(config_file, folder / "services.log", console, arguments.port)
            return 0
        with services(config_file, folder / "services.log", console):
            client = DaqClient(config_file)
            outcomes = [
                record(client, config_file, calibration, folder / "run_1.h5", 1, console, compression="bslz4"),
                record(client, config_file, calibration, folder / "run_2.h5", 2, console, images_per_file=20),
            ]
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
    picture = folder / "image.png"
    with step(console, "the picture is drawn"):
        write_picture(folder / "run_1.h5", picture)
    left = left_behind(config_file)
    summarise(outcomes, left, folder, picture)
    return 1 if left or any(outcome.problems for outcome in outcomes) else 0


def prepare(folder: Path) -> tuple[Path, Calibration]:
    """Write the detector's configuration and calibration files."""
    calibration = Calibration(N_MODULES, seed=7)
    calibration.write(folder / "pedestal.h5", folder / "gain.h5")
    config = {
        "detector_name": f"demo-{os.getpid()}",
        "detector_type": "jungfrau",
        "n_modules": N_MODULES,
        "bit_depth": 16,
        "image_pixel_height": N_MODULES * ROWS,
        "image_pixel_width": COLUMNS,
        "start_udp_port": free_ports(N_MODULES),
        "module_positions": {
            str(module): [0, module * ROWS, COLUMNS - 1, (module + 1) * ROWS - 1] for module in range(N_MODULES)
        },
        "detector": {
            "conversion": "kev",
            "pedestal_file": str(folder / "pedestal.h5"),
            "gain_file": str(folder / "gain.h5"),
        },
        # The detector is simulated on the same cores, and may stop for seconds within an image where they are busy.
        "udp": {"address": "127.0.0.1", "idle_flush_s": 3.0, "module_timeout_s": 3.0},
        "ram_buffer_gb": 0.5,
        "shared_memory": {"frame_buffer_gb": 0.25},
        "writer": {"output_roots": [str(folder)], "image_timeout_s": 20.0, "min_free_gb": 0.1},
        "nexus": {"description": "simulated JUNGFRAU", "distance_m": 0.2, "wavelength_angstrom": 1.0},
    }
    file = folder / "detector.json"
    file.write_text(json.dumps(config, indent=2))
    return file, calibration


def free_ports(n: int) -> int:
    """Return the first of n UDP ports in a row that nobody uses."""
    import socket

    for first in range(42000, 60000, 64):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + n):
                    stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise SystemExit(f"no {n} UDP ports in a row are free on 127.0.0.1")


def keep_open(config_file: Path, log: Path, console: Console, port: int) -> None:
    """Run all services with the console, and the simulated detector, until Ctrl-C."""
    simulate = [sys.executable, "-m", "std_daq.cli", "simulate", "--config", str(config_file), "--pattern", "photons"]
    simulate += ["--n-images", str(N_ENDLESS), "--rate-hz", str(WEB_RATE_HZ), "--loss", str(LOSS)]
    # Ctrl-C is for this process alone, which ends the others.
    with services(config_file, log, console, "--web", str(port)):
        with log.open("ab") as lines:
            detector = subprocess.Popen(simulate, stdout=lines, stderr=lines, process_group=0)
        try:
            token = next(Path(os.environ["STD_DAQ_RUNTIME_DIR"]).rglob("web-token"), None)
            console.print(f"open     http://127.0.0.1:{port}", soft_wrap=True, highlight=False)
            console.print(f"token    {token and token.read_text().strip()}", soft_wrap=True, highlight=False)
            console.print(f"folder   {log.parent}, for runs", soft_wrap=True, highlight=False)
            console.print("It goes on until Ctrl-C.")
            detector.wait()
            raise SystemExit(f"the simulated detector ended; see {log}")
        except KeyboardInterrupt:
            # A second Ctrl-C must not stop the ending, which takes 60 s at most.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        finally:
            detector.terminate()
            detector.wait(30)


@contextlib.contextmanager
def services(config_file: Path, log: Path, console: Console, *options: str) -> Iterator[None]:
    """Run all services with ``std-daq up``; their logs go to a file."""
    command = [sys.executable, "-m", "std_daq.cli", "up", "--config", str(config_file), *options]
    with log.open("wb") as lines:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=lines, process_group=0)
        try:
            with step(console, STARTING) as status:
                wait_until_ready(process, log, status)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            with step(console, "RabbitMQ and the services end"):
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise SystemExit(f"the services did not end; see {log}") from None
    if process.returncode != 0:
        raise SystemExit(f"the services ended with exit code {process.returncode}; see {log}")


def wait_until_ready(process: "subprocess.Popen[bytes]", log: Path, status: Status) -> None:
    """Wait for the line "ready"; shows meanwhile what the services compile."""
    assert process.stdout is not None
    deadline = time.monotonic() + READY_TIMEOUT_S
    while not select.select([process.stdout], [], [], LOOK_S)[0]:
        compiling = compiled_now(log)
        status.update(f"{STARTING}; compiling, once: {', '.join(compiling)}" if compiling else STARTING)
        if time.monotonic() > deadline:
            process.terminate()
            break
    if process.stdout.readline().strip() != b"ready":
        tail = log.read_text(errors="replace").splitlines()[-10:]
        raise SystemExit("the services did not start:\n" + "\n".join(tail))


def compiled_now(log: Path) -> list[str]:
    """Return the functions of which the log says that they are being compiled, not yet that they are."""
    functions: dict[str, None] = {}
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(ValueError, KeyError):  # not all lines are events, and the last one may be half a line
            event = json.loads(line[line.index("{") :])
            if event["event"] == "compiling":
                functions[event["function"]] = None
            elif event["event"] == "compiled":
                functions.pop(event["function"], None)
    return list(functions)


def record(
    client: DaqClient,
    config_file: Path,
    calibration: Calibration,
    file: Path,
    seed: int,
    console: Console,
    **request: Any,
) -> Outcome:
    """Have a run written while the detector is simulated, and compare the file with the simulation."""
    start = time.monotonic()
    first_frame = 1 + (seed - 1) * N_IMAGES
    with client.write(file, n_images=N_IMAGES, **request) as run, step(console, f"{file.name} is recorded"):
        status = run.poll(RUN_TIMEOUT_S)
        if status is None or status.action is not Action.ACCEPTED:
            raise SystemExit(f"{file.name} was not accepted: {status.message if status else 'no answer'}")
        ledger = simulate(config_file, seed, first_frame)
        report = run.wait(RUN_TIMEOUT_S)
    seconds = time.monotonic() - start
    with step(console, f"each pixel of {file.name} is compared with what was simulated"):
        problems = compare(file, report, ledger, config_file, calibration, seed, first_frame)
    n_bytes = sum(Path(path).stat().st_size for path in report.files)
    return Outcome(file.name, report, ledger, problems, seconds, n_bytes)


def simulate(config_file: Path, seed: int, first_frame: int) -> FaultInjector:
    """Send the packets of a run; returns the ledger of what the network did to them."""
    detector = open_detector(load_config(config_file))
    injector = FaultInjector(loss=LOSS, reorder=0.002, duplicate=0.001, seed=seed)
    source = SimulationSource(
        detector,
        injector,
        n_images=N_IMAGES,
        pattern="photons",
        seed=seed,
        first_frame=first_frame,
        first_pulse_id=first_frame,
    )
    first_port = detector.config.start_udp_port
    with contextlib.ExitStack() as stack:
        sinks = {
            port: stack.enter_context(PacketSender("127.0.0.1", port))
            for port in range(first_port, first_port + detector.n_ports)
        }
        Transmission(source, sinks, rate_hz=RATE_HZ).run()
    return injector


def compare(
    file: Path,
    report: RunReport,
    ledger: FaultInjector,
    config_file: Path,
    calibration: Calibration,
    seed: int,
    first_frame: int,
) -> list[str]:
    """Compare a file with what was simulated; returns what is wrong."""
    problems = [problem.text for problem in validate(file).problems if problem.severity == "error"]
    missing = np.zeros((N_IMAGES, N_MODULES), np.int64)
    lost = ledger.lost
    np.add.at(missing, (lost["frame"].astype(np.int64) - first_frame, lost["port"].astype(np.int64)), 1)
    verdict = Verdict.INCOMPLETE if missing.any() else Verdict.COMPLETE
    n_incomplete = int((missing.sum(axis=1) > 0).sum())
    if (report.verdict, report.n_written, report.n_incomplete) != (verdict, N_IMAGES, n_incomplete):
        problems.append(f"verdict {report.verdict}, {report.n_written} written, {report.n_incomplete} incomplete")
    images = open_detector(load_config(config_file)).simulated_frames("photons", seed)
    with h5py.File(file) as opened:
        detector = opened["/entry/instrument/detector/detectorSpecific"]
        if detector["image_id"][:].tolist() != list(range(first_frame, first_frame + N_IMAGES)):
            problems.append("image ids are not those that were simulated")
        if not np.array_equal(detector["missing_packets"][:], missing):
            problems.append("missing packets are not those that were lost")
        for index, raw in zip(range(N_IMAGES), images, strict=False):
            expected = calibration.energies(raw)
            take_out(expected, lost[lost["frame"] == first_frame + index])
            if not np.array_equal(opened["/entry/data/data"][index], expected, equal_nan=True):
                problems.append(f"pixels of image {index} differ")
    return problems


def take_out(image: NDArray[np.float32], lost: NDArray[Any]) -> None:
    """Give the areas of lost packets the fill value."""
    for packet in lost:
        row = int(packet["port"]) * ROWS + int(packet["packet"]) * ROWS_OF_A_PACKET
        image[row : row + ROWS_OF_A_PACKET] = np.nan


def left_behind(config_file: Path) -> list[str]:
    """Return the shared memory that is still there."""
    name = load_config(config_file).name
    return [str(path) for path in Path("/dev/shm").iterdir() if name in path.name]


def summarise(outcomes: list[Outcome], left: list[str], folder: Path, picture: Path) -> None:
    """Print what happened."""
    table = Table(title=f"JUNGFRAU, {N_MODULES} modules, {N_IMAGES} images a run at {RATE_HZ:g} Hz, corrected to keV")
    for column in ("run", "verdict", "images", "packets", "lost", "in images", "MB", "pixels"):
        table.add_column(column, justify="left" if column in {"run", "verdict", "pixels"} else "right")
    for outcome in outcomes:
        table.add_row(
            outcome.name,
            str(outcome.report.verdict),
            str(outcome.report.n_written),
            str(outcome.ledger.n_sent),
            str(outcome.ledger.n_lost),
            str(outcome.report.n_incomplete),
            f"{outcome.n_bytes / 1e6:.0f}",
            "[red]wrong" if outcome.problems else "[green]all right",
        )
    console = Console(width=100)
    console.print(table)
    for outcome in outcomes:
        for problem in outcome.problems[:10]:
            console.print(f"[red]{outcome.name}: {problem}")
    for path in left:
        console.print(f"[red]left behind: {path}")
    console.print(f"files    {folder}", soft_wrap=True, highlight=False)
    console.print(f"picture  {picture}", soft_wrap=True, highlight=False)
    console.print("page     scripts/demo --web shows such a detector in the browser, until Ctrl-C", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
