"""Live images of 4 Mpixel in the console: the processor time of std-web while it sends ten a second.

*Ours* is std-web as a process; this process publishes the images in a ring, and one more has the clients, which ask for
the next image as soon as they have one. Each window is 1024 x 1024, of the whole image, with maxima, histogram,
percentiles and a region of interest. The *reference* is what plain numpy needs for the same of one image: maxima of
bins of 2 x 2, minimum, maximum, sum, a histogram, and percentiles of every 16th pixel; nothing is sent.

Clients whose windows show the same share the reduction; those that look at different regions do not.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import numpy as np

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.viewing.camera import SHAPE, Camera
from std_benchmarks.viewing.console import NAME, WINDOW, Browsers, ConsoleProcess

RATE_HZ = 10.0
SECONDS = 4.0
CLIENTS = (1, 4)
_PERCENTILES = (0.1, 1.0, 5.0, 50.0, 95.0, 99.0, 99.9, 99.99)


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the cores that a client costs, and how late an image comes."""
    n_images = round(RATE_HZ * SECONDS)
    with ExitStack() as stack:
        camera = stack.enter_context(closing(Camera(setting.shm / f"{NAME}-images")))
        console = stack.enter_context(closing(ConsoleProcess(setting.folder / "console", setting.shm)))
        camera.send_one()
        for n_clients in CLIENTS:
            cores, references, delays, counts = [], [], [], []
            with closing(Browsers(console.address, n_clients)) as browsers:
                for turn in range(setting.repeats + 1):
                    setting.progress(f"{n_clients} clients, turn {turn} of {setting.repeats}")
                    browsers.results()
                    began = console.cpu_s
                    camera.send(n_images, RATE_HZ)
                    used_s = console.cpu_s - began
                    time.sleep(1 / RATE_HZ)
                    results = browsers.results()
                    if turn > 0:
                        # A client that is too slow on this machine gets fewer; what each image costs is the same.
                        cores.append(RATE_HZ * used_s / max(1, sum(n for n, _ in results)))
                        references.append(_by_numpy_s() * 1e3)
                        delays.append(statistics.median(delay for _, delay in results))
                        counts.append(min(n for n, _ in results) / n_images)
            words = f"4 Mpixel, {RATE_HZ:g} images/s, {n_clients} client{'s' if n_clients > 1 else ''}"
            details = {"received_by_slowest": round(statistics.median(counts), 3)}
            yield Figure(f"{words}, the service for each", "cores", cores, target=Target.at_most(0.5), details=details)
            of_an_image = [1e3 * used / RATE_HZ for used in cores]
            yield Figure(
                f"{words}, the service for each image of each", "ms", of_an_image, "numpy, nothing sent", references
            )
            yield Figure(f"{words}, published to received", "ms", delays)


def _by_numpy_s() -> float:
    """Return the seconds that numpy needs for what a window shows of one image."""
    pixels = np.random.default_rng(0).poisson(200, SHAPE).astype(np.uint16)
    began = time.process_time()
    rows, columns = SHAPE[0] // WINDOW[1], SHAPE[1] // WINDOW[0]
    pixels.reshape(WINDOW[1], rows, WINDOW[0], columns).max(axis=(1, 3))
    low, high = int(pixels.min()), int(pixels.max())
    pixels.sum(dtype=np.float64)
    np.histogram(pixels, bins=min(512, high + 1 - low), range=(low, high + 1))
    np.percentile(pixels[::4, ::4], _PERCENTILES, method="nearest")
    return time.process_time() - began
