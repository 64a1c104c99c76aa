"""Images on two servers, with TLS and a bad network between them."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from std_daq.client import DaqClient, RequestedRun
from std_daq.client.scrape import Scrape, scrape
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.paths import image_buffer_path
from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.rabbitmq.throwaway import ThrowawayBroker
from std_daq.recording.requests import Action
from std_daq.streams.tcp.authority import CA_FILE, Authority, Part
from std_test_kit.beamline import Command
from std_test_kit.network_lab import NEAR_ADDRESS, NetworkLab
from std_test_kit.server import Server
from std_test_kit.simulated_file import check_counter_pixels
from std_test_kit.wait import wait_until

ADDRESS = f"tcp://{NEAR_ADDRESS}:9700"
N_IMAGES = 10_000
RATE_HZ = 250
# The simulated images repeat; a ring of no multiple of that many slots holds another image in the same slot next time.
N_SLOTS = 1009
UDP_LOSSES = (
    "daq_udp_packets_lost_total",
    "daq_udp_packets_rejected_total",
    "daq_udp_kernel_drops_total",
    "daq_udp_frames_incomplete_total",
    "daq_udp_frames_unannounced_total",
)
IMAGE_LOSSES = ("daq_assembler_exposures_lost_total", "daq_image_missing_packets_total")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def broker(network_lab: NetworkLab) -> Iterator[ThrowawayBroker]:
    """A RabbitMQ on the far server, where images are written."""
    with network_lab.far.inside(), ThrowawayBroker() as node:
        yield node


@pytest.fixture
def near(network_lab: NetworkLab, runtime: Path, shm_dir: Path, tmp_path: Path) -> Iterator[Server]:
    """The server with the detector."""
    services = {"udp-recv": "std_udp_recv", "assembler": "std_assembler", "stream-send-0": "std_stream_send"}
    sender = {"address": ADDRESS, "tls": tls_of(tmp_path, NEAR_ADDRESS, Part.SERVER)}
    config = detector_of("near", runtime, shm_dir, tmp_path) | {"replication": {"send": [sender]}}
    with Server(network_lab.near, tmp_path, config, services) as server:
        yield server


@pytest.fixture
def far(
    network_lab: NetworkLab, near: Server, broker: ThrowawayBroker, runtime: Path, shm_dir: Path, tmp_path: Path
) -> Iterator[Server]:
    """The server with the writer."""
    services = {"stream-recv": "std_stream_recv", "writer-agent": "std_writer_agent", "h5-writer-0": "std_h5_writer"}
    receiver = {"sources": [ADDRESS], "tls": tls_of(tmp_path, "far", Part.CLIENT)}
    config = detector_of("far", runtime, shm_dir, tmp_path) | {"replication": {"receive": receiver}}
    # So many that no writer is too slow for the images that come at once after a cut.
    config["shared_memory"]["image_slots"] = 4 * N_SLOTS
    with Server(network_lab.far, tmp_path, config, services, {"STD_DAQ_BROKER_URL": broker.url}) as server:
        yield server


def tls_of(folder: Path, name: str, part: Part) -> dict[str, str]:
    """Make a certificate of one server; returns what its configuration says of it."""
    authority = Authority(folder / "certificates")
    authority.make()
    cert_file, key_file = authority.issue(name, part, days=1)
    return {
        "ca_file": str(folder / "certificates" / CA_FILE),
        "cert_file": str(cert_file),
        "key_file": str(key_file),
    }


def detector_of(server: str, runtime: Path, shm_dir: Path, data: Path) -> dict[str, Any]:
    """Return the configuration of an EIGER of one quarter module, with images of 131 kB, on one of two servers."""
    directory = shm_dir / server
    directory.mkdir()
    return {
        "detector_name": "replicated",
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 8,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "module_positions": {"0": [0, 0, 513, 255]},
        "start_udp_port": 50_000,
        "runtime_dir": str(runtime / server),
        "ram_buffer_gb": 0.2,
        "shared_memory": {"directory": str(directory), "frame_buffer_gb": 0.1, "image_slots": N_SLOTS},
        "writer": {"output_roots": [str(data)], "image_timeout_s": 30.0, "min_free_gb": 0.0},
    }


def simulate(near: Server) -> Command:
    arguments = ["--pattern", "counter", "--rate-hz", str(RATE_HZ), "--n-images", str(N_IMAGES)]
    with near.network.inside():
        return Command("simulate", "--config", str(near.config_file), *arguments)


def metrics(server: Server, instance: str) -> Scrape:
    answer = scrape(server.record_of(instance).socket, timeout_s=20.0)
    assert answer.is_answering, instance
    return answer


def losses(near: Server) -> dict[str, float]:
    """Return all that the receiving side of a server counts as lost, refused or incomplete."""
    udp_recv, assembler = metrics(near, "udp-recv"), metrics(near, "assembler")
    return {
        **{name: udp_recv.total(name) for name in UDP_LOSSES},
        **{name: assembler.total(name) for name in IMAGE_LOSSES},
    }


def wait_until_accepted(run: RequestedRun) -> None:
    while (status := run.poll(20.0)) is not None:
        if status.action is Action.ACCEPTED:
            return
    raise TimeoutError("the request was not accepted")


class Progress:
    """How many images the near server has taken; brings back services that have died while it waits.

    Parameters
    ----------
    near, far
        The servers.
    """

    def __init__(self, near: Server, far: Server) -> None:
        self._servers = near, far
        self._ring = ImageBuffer.attach(image_buffer_path(near.config))

    def wait(self, n_images: int, timeout_s: float = 120.0) -> None:
        """Wait until so many images have been taken."""
        wait_until(lambda: self._n_images() >= n_images, timeout_s, lambda: f"{self._n_images()} images were taken")

    def close(self) -> None:
        """Let go of the ring."""
        self._ring.close()

    def _n_images(self) -> int:
        for server in self._servers:
            server.step()
        return self._ring.journal.next_sequence


def test_every_image_is_on_the_far_server_or_listed_through_cuts_losses_and_a_killed_receiver(
    network_lab: NetworkLab, near: Server, far: Server, broker: ThrowawayBroker, tmp_path: Path
) -> None:
    network_lab.wire.delay_s = 0.002
    network_lab.wire.loss = 0.001
    file = tmp_path / "run.h5"
    with ExitStack() as stack:
        with far.network.inside():
            run = stack.enter_context(DaqClient(far.config, broker.url).write(file, n_images=N_IMAGES))
        wait_until_accepted(run)
        progress = stack.enter_context(closing(Progress(near, far)))
        simulating = stack.enter_context(simulate(near))
        progress.wait(1_000)
        with network_lab.cut():
            progress.wait(1_300)
        progress.wait(2_500)
        with network_lab.unplugged():
            progress.wait(3_000)
        progress.wait(4_000)
        killed = far.kill("stream-recv")
        progress.wait(5_500)
        with network_lab.cut():  # for longer than the ring lasts
            progress.wait(5_500 + 2 * N_SLOTS)
        progress.wait(N_IMAGES)
        assert simulating.finish()[0] == 0
        report = run.wait(120.0)
    assert network_lab.wire.n_lost > 0
    assert far.record_of("stream-recv").pid != killed
    every_image = list(range(1, N_IMAGES + 1))

    # What was written is right; what was not is listed, and had left the sender's ring.
    lost = list(report.lost_image_ids)
    assert report.lost_image_ids_truncated == 0
    assert sorted([*check_counter_pixels(far.config, file), *lost]) == every_image
    images = ImageBuffer.attach(image_buffer_path(far.config))
    published = images.journal.read(0, 2 * N_IMAGES).entries
    images.close()
    assert published["id"].tolist() == every_image, "each was published once, and in order"
    assert published["id"][published["status"] & ImageStatus.OVERWRITTEN != 0].tolist() == lost
    assert lost, "the last cut was longer than the ring lasts"
    assert metrics(near, "stream-send-0").total("daq_replication_entries_unnamed_total") == 0

    # The sending side has received as if nobody had been there.
    assert set(losses(near).values()) == {0}
    assert metrics(near, "assembler").total("daq_images_total") == N_IMAGES
    file.unlink()
