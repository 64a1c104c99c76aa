"""CPU time of each service for each GB of packets, at half a GB/s, from the packets to a file.

One JUNGFRAU module, images corrected to keV and written uncompressed, all services as processes of their own. The
file is on the disk when a run ends, and what that costs is part of h5-writer's cost.

The sum of those that every image goes through (std-udp-recv, std-assembler, std-h5-writer) has a target. The writer
agent, which names images to the writer, and the sender, which has no part in a real beamline, are listed beside them.
The reference is what it costs if everything is only copied: for each GB of packets one memcpy of it for the ring, and,
as float32 has twice the bytes, one of two GB for the image and one of two GB for the file.
"""

import time
from collections.abc import Iterator

import numpy as np

from std_benchmarks.figure import Figure, Target
from std_benchmarks.image_path.chains import PlatformChain, platform_broker
from std_benchmarks.image_path.jungfrau_module import FILE_BYTES, SENT_BYTES, JungfrauModule
from std_benchmarks.image_path.services import RunningServices
from std_benchmarks.setting import Setting
from std_daq.errors import ResourceError

BYTES_PER_S = 0.5e9
SECONDS = 2.0
N_TRIES = 6
COUNTED = ("udp-recv", "assembler", "h5-writer-0")

_COPIED_BYTES = SENT_BYTES + 2 * FILE_BYTES
_N_BLOCKS = 64


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the sum and the share of each."""
    rings = setting.shm / "rings"
    rings.mkdir()
    with (
        JungfrauModule(setting.folder, rings) as module,
        platform_broker() as environment,
        RunningServices(module.config_file, environment=environment) as services,
    ):
        recorder = _Recorder(setting, module, services, PlatformChain(module, environment))
        recorder.record()
        costs, copies = [], []
        for _ in range(min(setting.repeats, 3)):
            copies.append(_seconds_to_copy())
            costs.append(recorder.record())
    sums = [sum(cost[name] for name in COUNTED) for cost in costs]
    yield Figure("udp-recv, assembler and h5-writer together", "core-s/GB", sums, target=Target.at_most(2))
    for name in costs[0]:
        yield Figure(name, "core-s/GB", [cost[name] for cost in costs], "memcpy of all that is moved", copies)


class _Recorder:
    """Has a series recorded, and tells what that has cost."""

    def __init__(
        self, setting: Setting, module: JungfrauModule, services: RunningServices, chain: PlatformChain
    ) -> None:
        self._file = setting.folder / "images.h5"
        self._progress = setting.progress
        self._module = module
        self._services = services
        self._chain = chain

    def record(self) -> dict[str, float]:
        """Return the CPU seconds of each service for each GB; raises ResourceError if images are lost each time."""
        rate_hz = BYTES_PER_S / SENT_BYTES
        n_images = round(SECONDS * rate_hz)
        for _ in range(N_TRIES):
            self._progress(f"{n_images} images at {rate_hz:.0f} Hz")
            before, sender_s = self._services.cpu_s(), self._module.sender_cpu_s
            outcome = self._chain.record(self._file, n_images, rate_hz)
            after = self._services.cpu_s()
            self._file.unlink()
            if outcome.is_lossless:
                used = {name: after[name] - before[name] for name in sorted(after)}
                used["sender"] = self._module.sender_cpu_s - sender_s
                return {name: seconds / (n_images * SENT_BYTES) * 1e9 for name, seconds in used.items()}
        raise ResourceError(f"images are lost at {rate_hz:.0f} Hz: this machine is too slow, or busy")


def _seconds_to_copy() -> float:
    """Return the CPU seconds that copying takes for a GB of packets."""
    source = np.random.default_rng(0).integers(0, 255, (_N_BLOCKS, FILE_BYTES), np.uint8)
    target = np.ones_like(source)
    started = time.thread_time()
    np.copyto(target, source)
    per_byte = (time.thread_time() - started) / source.nbytes
    return per_byte * _COPIED_BYTES / SENT_BYTES * 1e9
