"""Live images of a simulated array of telescopes: one server, two clients at different paces, a table and a picture.

One client takes every image, the other one image of each product and module per half second. The table shows what
each was sent and what was skipped for it; the two together have to be all images that came to the server.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from steps import step

from std_daq.client import DaqDataClient
from std_daq.telescope.plots import PanoImagePreviewer

MODULES = [1, 3, 224]
RATE_HZ = 20.0
EVERY_IMAGE_S = 0.001
SLOW_INTERVAL_S = 0.5
READY_TIMEOUT_S = 20.0


@dataclass
class Watcher:
    """One client: what it asks for, and what it was sent of each product and module."""

    name: str
    interval_s: float
    seen: dict[tuple[int, str], list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    def watch(self, target: str, seconds: float, previewer: PanoImagePreviewer | None = None) -> None:
        """Read images for a while."""
        end_s = time.monotonic() + seconds
        with (
            DaqDataClient(host=target) as client,
            client.stream_images(update_interval_seconds=self.interval_s) as images,
        ):
            while (rest_s := end_s - time.monotonic()) > 0:
                image = images.poll(rest_s)
                if image is not None:
                    self.seen[image["module_id"], image["type"]].append(image)
                    if previewer is not None:
                        previewer.update(image)

    def problems(self) -> Iterator[str]:
        """Tell what is not as it has to be."""
        if len(self.seen) != 2 * len(MODULES):
            yield f"{self.name}: {len(self.seen)} products of modules have come, not {2 * len(MODULES)}"
        for (module_id, kind), images in self.seen.items():
            what = f"{self.name}: {kind} of module {module_id}"
            numbers = [image["frame_id"] for image in images]
            if len(images) + skipped(images) != numbers[-1] - numbers[0] + 1:
                yield f"{what}: received and skipped are not all that came"
            if self.interval_s == EVERY_IMAGE_S and skipped(images):
                yield f"{what}: {skipped(images)} images are missing"


def skipped(images: list[dict[str, Any]]) -> int:
    """Return how many images were skipped between the first and the last."""
    return sum(image["skipped"] for image in images)


def run(output: Path, seconds: float) -> int:
    """Run the demo; returns 0 if everything is as it has to be."""
    folder = output.absolute() / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True)
    picture = folder / "array.png"
    previewer = PanoImagePreviewer(True, True, in_window=False)
    watchers = [Watcher("every image", EVERY_IMAGE_S), Watcher(f"each {SLOW_INTERVAL_S:g} s", SLOW_INTERVAL_S)]
    console = Console(stderr=True)
    with contextlib.ExitStack() as stack:
        with step(console, "the server starts, and simulates telescopes"):
            target = stack.enter_context(server(folder))
        with step(console, f"two clients look at {len(MODULES)} telescopes for {seconds:g} s"):
            looking = [
                threading.Thread(target=watchers[0].watch, args=(target, seconds)),
                threading.Thread(target=watchers[1].watch, args=(target, seconds, previewer)),
            ]
            for thread in looking:
                thread.start()
            for thread in looking:
                thread.join()
    with step(console, "the picture is drawn"):
        previewer.save(picture)
    problems = [problem for watcher in watchers for problem in watcher.problems()]
    summarise(watchers, problems, picture)
    return 1 if problems else 0


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run std-live-view with a simulated array; gives the address."""
    with tempfile.TemporaryDirectory(prefix="std-daq-demo-") as runtime, (folder / "server.log").open("wb") as log:
        config = {
            "port": None,
            "unix_socket": f"{runtime}/live.sock",
            "start": {"simulate": True, "update_interval_s": EVERY_IMAGE_S},
            "simulation": {"module_ids": MODULES, "rate_hz": RATE_HZ},
        }
        (folder / "live.json").write_text(json.dumps(config, indent=2))
        process = subprocess.Popen(
            [sys.executable, "-m", "std_live_view", "--config", str(folder / "live.json")],
            stderr=log,
            env=os.environ | {"STD_DAQ_RUNTIME_DIR": runtime},
        )
        target = f"unix:{runtime}/live.sock"
        try:
            wait_until_ready(target, folder / "server.log")
            yield target
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise SystemExit(f"the server did not end; see {folder / 'server.log'}") from None
    if process.returncode != 0:
        raise SystemExit(f"the server ended with exit code {process.returncode}; see {folder / 'server.log'}")


def wait_until_ready(target: str, log: Path) -> None:
    """Wait until the server has images of all modules."""
    deadline_s = time.monotonic() + READY_TIMEOUT_S
    with DaqDataClient(host=target) as client:
        while not (client.ping(timeout=1.0) and len(client.status().products) >= 2 * len(MODULES)):
            if time.monotonic() > deadline_s:
                raise SystemExit("the server did not start:\n" + "\n".join(log.read_text().splitlines()[-10:]))
            time.sleep(0.1)


def summarise(watchers: list[Watcher], problems: list[str], picture: Path) -> None:
    """Print what happened."""
    title = f"{len(MODULES)} simulated telescopes, {RATE_HZ:g} images a second of each product"
    table = Table("client", "module", "product", "received", "skipped", "per second", title=title)
    for watcher in watchers:
        for (module_id, kind), images in sorted(watcher.seen.items()):
            first, last = images[0]["server_time"], images[-1]["server_time"]
            run_s = max((last - first).astype(int) / 1e9, 1e-9)
            row = (str(len(images)), str(skipped(images)), f"{(len(images) - 1) / run_s:.1f}")
            table.add_row(watcher.name, str(module_id), kind.replace("_", " ").lower(), *row)
        table.add_section()
    console = Console(width=100)
    console.print(table)
    for problem in problems:
        console.print(f"[red]{problem}")
    console.print(f"picture  {picture}", soft_wrap=True, highlight=False)
