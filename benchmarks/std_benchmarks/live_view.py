"""Movie images of a telescope, from the acquisition's socket to clients over gRPC.

*Ours* is std-live-view as a process; this process writes the frames into its Unix socket, at a steady pace, and two
more have the clients, which decode every image. The *reference* is a bare gRPC server, in Python as well, which reads
nothing and chooses nothing: it makes each image once and writes it to all streams. Both send the same fields.

The rate is that of the slowest client. Nothing is to be skipped: what a server leaves out lowers the rate.

Then images of 4 Mpixel from an ImageBuffer: the processor time of the server while it sends ten a second to four
clients. All their pixels go to each client; so both sides allow messages of 16 MiB.

Last, the other ways of an image to a client: how late one comes that is uploaded, and one that is written into a file,
which waits for the next look at the files; and how many uploads a second the server takes from one client. The bare
server reads each upload, and does nothing with it. The server of existing telescopes took 8,800 a second.
"""

import math
import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from std_benchmarks.figure import Figure, Target
from std_benchmarks.setting import Setting
from std_benchmarks.viewing.acquisition import MODULE, PRODUCT, Acquisition
from std_benchmarks.viewing.camera import SHAPE, Camera
from std_benchmarks.viewing.clients import ClientProcess, Received, client_processes
from std_benchmarks.viewing.recorder import Recorder
from std_benchmarks.viewing.servers import BareServer, LiveView, opened
from std_benchmarks.viewing.uploader import Uploader

SECONDS = 4.0
REFERENCE = "bare gRPC server"
_DELIVERED = 0.995  # of the images that were sent: what counts as "none is skipped" over a few seconds


@dataclass(frozen=True, slots=True)
class Case:
    """How many images go to how many clients.

    Parameters
    ----------
    rate_hz
        Images a second.
    clients
        Clients of each process.
    """

    rate_hz: float
    clients: tuple[int, ...]

    @property
    def name(self) -> str:
        """For the table."""
        n = sum(self.clients)
        return f"{self.rate_hz:g} images/s to {n} client{'s' if n > 1 else ''}"


CASES = (Case(500.0, (4, 4)), Case(1000.0, (1,)))
LARGE = Case(10.0, (2, 2))
SLOW = Case(17.0, (1,))  # out of step with the looks at the files
POLL_PERIOD_S = 0.05
N_UPLOADS = 10_000
_ORIGINAL_UPLOADS_PER_S = 8800.0
_UPLOADED_WITHIN_MS = 5.0


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate, what an image costs the server, and how late it comes; then of large images, uploads and files."""
    yield from _of_a_telescope(setting)
    yield from _of_an_image_buffer(setting)
    yield from _of_uploads_and_files(setting)


def _of_a_telescope(setting: Setting) -> Iterator[Figure]:
    template = setting.folder / "live" / "{dp_name}.sock"
    live_view = LiveView(setting.folder / "live", {"unix_sockets": {"path_template": str(template)}})
    with opened(live_view, BareServer(setting.folder / "bare")) as (ours, bare), ExitStack() as stack:
        path = template.with_name(f"{PRODUCT.name}.sock")
        ours.wait_for(path)
        acquisition = Acquisition(path)
        stack.callback(acquisition.close)
        acquisition.send_one()
        for case in CASES:
            with client_processes(case.clients) as processes:
                yield from _measure(setting, case, processes, (ours, acquisition.send), (bare, bare.send))


def _of_an_image_buffer(setting: Setting) -> Iterator[Figure]:
    camera = Camera(setting.shm / "images")
    source = {"config": str(setting.shm / "images"), "module_id": MODULE, "max_pixels": math.prod(SHAPE)}
    live_view = LiveView(setting.folder / "large", {"image_buffers": [source]})
    with opened(live_view, camera), client_processes(LARGE.clients) as processes:
        live_view.wait_for()
        camera.send_one()
        way = _Way(live_view, camera.send)
        for turn in range(setting.repeats + 1):
            setting.progress(f"4 Mpixel, turn {turn} of {setting.repeats}")
            way.series(LARGE, processes, counts=turn > 0)
    cores = [us * 1e-6 * sum(LARGE.clients) * LARGE.rate_hz for us in way.cpu_us]
    details = {"n_missing": way.n_missing, "n_skipped": way.n_skipped}
    yield Figure(f"4 Mpixel, {LARGE.name}, the server", "cores", cores, target=Target.at_most(0.5), details=details)
    yield Figure(f"4 Mpixel, {LARGE.name}, published to received", "ms", way.delays_ms)


def _of_uploads_and_files(setting: Setting) -> Iterator[Figure]:
    folder = setting.folder / "files"
    live_view = LiveView(folder, {"run_directory": {"method": "poll"}}, POLL_PERIOD_S)
    recorder = Recorder(folder)
    with opened(live_view, BareServer(setting.folder / "uploads"), recorder) as (_, bare, _), ExitStack() as stack:
        live_view.wait_for()
        recorder.send_one()
        uploaders = [Uploader(server.address) for server in (live_view, bare)]
        for one in uploaders:
            stack.callback(one.close)
        ways = {"uploaded": _Way(live_view, uploaders[0].send), "written": _Way(live_view, recorder.send)}
        with client_processes(SLOW.clients) as processes:
            for turn in range(setting.repeats + 1):
                for name, way in ways.items():
                    setting.progress(f"{name} to received, turn {turn} of {setting.repeats}")
                    way.series(SLOW, processes, counts=turn > 0)
        bounds_ms = {"uploaded": _UPLOADED_WITHIN_MS, "written": POLL_PERIOD_S * 1e3}
        for name, way in ways.items():
            details = {"n_missing": way.n_missing, "n_skipped": way.n_skipped}
            target = Target.at_most(bounds_ms[name])
            yield Figure(f"{SLOW.name}, {name} to received", "ms", way.delays_ms, target=target, details=details)
        rates: list[list[float]] = [[], []]
        for turn in range(setting.repeats + 1):
            setting.progress(f"uploads, turn {turn} of {setting.repeats}")
            for taken, one in zip(rates, uploaders, strict=True):
                rate_hz = one.highest_rate_hz(N_UPLOADS)
                if turn > 0:
                    taken.append(rate_hz)
    details = {"reference_images_per_s": round(statistics.median(rates[1]))}
    target = Target.at_least(_ORIGINAL_UPLOADS_PER_S)
    yield Figure("uploads of one client", "images/s", rates[0], target=target, details=details)


@dataclass(slots=True)
class _Way:
    """One of the two servers, and what was seen of it in the turns that count."""

    server: LiveView | BareServer
    send: Callable[[int, float], float]
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)
    n_missing: int = 0
    n_skipped: int = 0

    def series(self, case: Case, processes: list[ClientProcess], *, counts: bool) -> None:
        """Send one series, and note what the clients got."""
        for process in processes:
            process.begin(self.server.address)
        n_images = round(case.rate_hz * SECONDS)
        before = self.server.cpu_s
        self.send(n_images, case.rate_hz)
        got: list[Received] = [one for process in processes for one in process.results()]
        spent = self.server.cpu_s - before
        if counts:
            self.rates.append(min(len(one.frame_numbers) for one in got) / n_images * case.rate_hz)
            self.cpu_us.append(spent / (n_images * len(got)) * 1e6)
            self.delays_ms.append(statistics.median(delay for one in got for delay in one.delays_ms))
            self.n_missing += sum(n_images - len(set(one.frame_numbers)) for one in got)
            self.n_skipped += sum(one.n_skipped for one in got)


def _measure(
    setting: Setting,
    case: Case,
    processes: list[ClientProcess],
    *pairs: tuple[LiveView | BareServer, Callable[[int, float], float]],
) -> Iterator[Figure]:
    ours, bare = (_Way(server, send) for server, send in pairs)
    for turn in range(setting.repeats + 1):
        setting.progress(f"{case.name}, turn {turn} of {setting.repeats}")
        for way in (ours, bare) if turn % 2 else (bare, ours):
            way.series(case, processes, counts=turn > 0)
    details = {"n_missing": ours.n_missing, "n_skipped": ours.n_skipped, "reference_n_missing": bare.n_missing}
    target = Target.at_least(_DELIVERED * case.rate_hz)
    yield Figure(f"{case.name}, the slowest", "images/s", ours.rates, target=target, details=details)
    yield Figure(f"{case.name}, the server", "core-us/image", ours.cpu_us, REFERENCE, bare.cpu_us)
    yield Figure(f"{case.name}, sent to received", "ms", ours.delays_ms, REFERENCE, bare.delays_ms)
