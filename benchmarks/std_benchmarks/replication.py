"""Images from one server's ring to another's over loopback, beside one TCP socket that copies the same bytes.

*Ours* is stream_send and stream_recv as processes of their own: each image goes from the near ring to the network and
straight into its slot of the far one, is confirmed to be whole, entered in the journal and acknowledged. Timed from the
first image published here to the last one published there. This process publishes images as they come over, without
touching their pixels, and looks twice a millisecond; that is all that competes for the cores. The *reference* is
tcp_copy.c, two threads and a blocking socket, from shared memory into shared memory of the same size, with no head, no
check and no word back. It is woken up for each megabyte: of the ways that were tried (for each packet, 128 KiB,
512 KiB; MSG_WAITALL; pieces of 256 KiB; buffers of 1 and 4 MB) the one that was within a tenth of the fastest with
images of 1 MB and with those of 16 MB. Both move bytes from memory that is larger than the caches.

Each turn sends other pixels than the one before; then ids and bytes of the far ring are compared with the near ones.

With images of 0.1 MB what is done for each image dominates: there the rate in images/s counts. With TLS everything is
encrypted; the reference still is the plain socket.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from std_benchmarks.figure import Figure, Target
from std_benchmarks.replicating.tcp_copy import TcpCopy
from std_benchmarks.replicating.two_servers import Images, TwoServers, jungfrau_images
from std_benchmarks.setting import Setting
from std_benchmarks.turns import take_turns
from std_daq.imaging.buffers.image_buffer import ImageBuffer

SMALL = Images(
    "0.1 MB",
    {
        "detector_type": "gigafrost",
        "n_modules": 8,
        "bit_depth": 12,
        "image_pixel_height": 256,
        "image_pixel_width": 208,
    },
)
LARGE = (
    jungfrau_images("1 MB", [(0, 0)]),
    jungfrau_images("4 MB", [(0, 512 * i) for i in range(4)]),
    jungfrau_images("16 MB", [(1024 * (i % 2), 512 * (i // 2)) for i in range(16)]),
)
TURN_BYTES = 768 * 2**20
ENCRYPTED_TURN_BYTES = 192 * 2**20
REFERENCE = "one TCP socket in C"


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate for each size of images, and that with encryption."""
    for images in LARGE:
        case = Case(images, TURN_BYTES)
        yield from case.measure(setting, Target.at_least(0.8))
    yield from Case(SMALL, TURN_BYTES // 2, unit="images/s").measure(setting)
    yield from Case(LARGE[1], ENCRYPTED_TURN_BYTES, has_tls=True).measure(setting)


@dataclass(frozen=True, slots=True)
class Case:
    """One figure.

    Parameters
    ----------
    images
        What is sent.
    turn_bytes
        How much of it in a turn.
    unit
        ``GB/s`` or ``images/s``.
    has_tls
        Whether it is encrypted.
    """

    images: Images
    turn_bytes: int
    unit: str = "GB/s"
    has_tls: bool = False

    def measure(self, setting: Setting, target: Target | None = None) -> Iterator[Figure]:
        """Measure it."""
        name = self.images.name + (", TLS" if self.has_tls else "")
        setting.progress(f"replicating images of {name}")
        key = name.replace(" ", "-").replace(",", "")
        n_images = self.turn_bytes // self.images.n_bytes
        amount = n_images if self.unit == "images/s" else n_images * self.images.n_bytes / 1e9
        shm = setting.shm / key
        with closing(TwoServers(self.images, setting.folder / key, shm, has_tls=self.has_tls)) as servers:
            spare = _spare_ring(servers.near, shm / "spare")
            plain = TcpCopy(servers.near.data, spare.data)
            cpu = _Cpu(servers, plain)
            ways: list[Callable[[], float]] = [
                lambda: amount / cpu.of_ours(n_images),
                lambda: amount / cpu.of_reference(n_images),
            ]
            ours, references = take_turns(ways, setting.repeats)
            del plain
            spare.close()
        yield Figure(
            f"replication, {name}",
            self.unit,
            ours,
            REFERENCE,
            references,
            target,
            {"image_bytes": self.images.n_bytes, **cpu.details(n_images, self.images.n_bytes)},
        )


class _Cpu:
    """CPU time of each turn."""

    def __init__(self, servers: TwoServers, plain: TcpCopy) -> None:
        self._servers, self._plain = servers, plain
        self._spent: dict[str, list[float]] = {"sender": [], "receiver": [], "reference": []}

    def of_ours(self, n_images: int) -> float:
        before = self._servers.cpu_seconds
        seconds = self._servers.replicate(n_images)
        for name, began, ended in zip(("sender", "receiver"), before, self._servers.cpu_seconds, strict=True):
            self._spent[name].append(ended - began)
        return seconds

    def of_reference(self, n_images: int) -> float:
        seconds = self._plain.copy(n_images)
        self._spent["reference"].append(self._plain.cpu_seconds)
        return seconds

    def details(self, n_images: int, image_bytes: int) -> dict[str, float]:
        """CPU seconds for each GB, and CPU microseconds for each image."""
        median = {name: statistics.median(values[1:]) for name, values in self._spent.items()}
        per_gb = {f"{name}_cpu_s_per_gb": round(v / (n_images * image_bytes / 1e9), 3) for name, v in median.items()}
        per_image = {f"{name}_cpu_us_per_image": round(v / n_images * 1e6, 1) for name, v in median.items()}
        return per_gb | per_image


def _spare_ring(like: ImageBuffer, path: Path) -> ImageBuffer:
    """Make another ring of the same form, for the reference to copy into."""
    ring, _ = ImageBuffer.create(
        path,
        shape=like.shape,
        dtype=like.dtype,
        n_modules=like.n_modules,
        buffer_bytes=0,
        n_slots=like.n_slots,
    )
    return ring
