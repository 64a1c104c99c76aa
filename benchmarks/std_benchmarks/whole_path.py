"""The highest rate at which one JUNGFRAU module gets from its packets to a file without a loss.

Images are corrected to keV, float32, and written uncompressed: of each, 1.05 MB of packets come in and 2.1 MB go into
the file. Ours is all services as processes of their own, told what to write by requests through a throwaway RabbitMQ.
The reference is the same chain in the obvious way (``image_path/naive_chain.py``): two Python processes,
``recv_into``, numpy, ``dataset[i] = image``. It does less: no missing packet is told or filled, nobody else can read
the images, nobody can ask for a file or follow it.

The comparison is fair in that both run on the same cores beside the same sender (UDP_SEGMENT, an image in a burst, as
a module sends it), have the same socket buffer and as many images of room between their links, and write to the same
folder: where its disk takes less than 2 GB/s, it is the disk that limits ours. Before each trial of the obvious chain,
which writes into the page cache, as much of that is written as the trial may need. Every image of the longer trial that
counts is compared with what it has to be, byte by byte.
"""

from collections.abc import Iterator

from std_benchmarks.figure import Figure, Target
from std_benchmarks.image_path.chains import NaiveChain, PlatformChain, platform_broker
from std_benchmarks.image_path.jungfrau_module import FILE_BYTES, SENT_BYTES, JungfrauModule
from std_benchmarks.image_path.services import RunningServices
from std_benchmarks.image_path.trials import Trials
from std_benchmarks.setting import Setting

# Rates between which the highest one is looked for, in Hz.
OURS = (200.0, 1200.0)
NAIVE = (80.0, 320.0)


def measure(setting: Setting) -> Iterator[Figure]:
    """Give the rate of both chains."""
    rings, files = setting.shm / "rings", setting.folder / "files"
    rings.mkdir()
    files.mkdir()
    with JungfrauModule(setting.folder, rings) as module:
        trials = Trials(module, files, setting.progress)
        naive = trials.highest_rate("the obvious way", NaiveChain(module), *NAIVE)
        setting.progress("starting the services")
        with platform_broker() as environment, RunningServices(module.config_file, environment=environment):
            ours = trials.highest_rate("services", PlatformChain(module, environment), *OURS)
    yield Figure(
        "UDP to file, corrected JUNGFRAU images, uncompressed",
        "images/s",
        [ours.rate_hz],
        "recv_into, numpy, dataset[i] = image",
        [naive.rate_hz],
        Target.at_least(8),
        {
            "packets_gb_per_s": ours.rate_hz * SENT_BYTES / 1e9,
            "file_gb_per_s": ours.rate_hz * FILE_BYTES / 1e9,
            "images": ours.n_images,
            "reference_images": naive.n_images,
        },
    )
