"""The receivers of the benchmarks, and the camera that sends to them: the right bytes, whatever the timing."""

import itertools
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from std_benchmarks.receiving.announcements import Announcements
from std_benchmarks.receiving.camera import EIGER, JUNGFRAU, Camera, Frames, Sent
from std_benchmarks.receiving.copying_receiver import CopyingReceiver
from std_benchmarks.receiving.cores import sender_and_receiver
from std_benchmarks.receiving.kernel_drops import kernel_drops
from std_benchmarks.receiving.lossless_trials import LosslessTrials
from std_benchmarks.receiving.port_drain import PortDrain
from std_benchmarks.receiving.receiver_process import ReceiverProcess
from std_benchmarks.setting import Setting
from std_daq.errors import ResourceError
from std_daq.imaging.detectors.sls_packets import SLS_HEADER
from std_test_kit.wait import wait_until

BUFFER_BYTES = 4 * 2**20
N_SLOTS = 16
detectors = pytest.mark.parametrize("document", [JUNGFRAU, EIGER], ids=["jungfrau", "eiger"])
senders = pytest.mark.parametrize("segments", [False, True], ids=["plain", "segments"])


@pytest.fixture
def copying(tmp_path: Path) -> Iterator[CopyingReceiver]:
    receiver = CopyingReceiver(Frames(EIGER), tmp_path / "ring", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES)
    yield receiver
    receiver.close()


@detectors
@senders
def test_both_receivers_drain_what_was_sent(document: dict[str, Any], segments: bool, tmp_path: Path) -> None:
    frames = Frames(document)
    copying = CopyingReceiver(frames, tmp_path / "copying", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES)
    ours = PortDrain(frames, tmp_path / "ours", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES)
    for first_frame in (5, 6):
        with Camera(frames, copying.port, segments=segments, first_frame=first_frame) as camera:
            sent = camera.send(1)
        copying.start(frames.packets_per_frame)
        assert copying.finish(stop=False) > 0
        assert copying.is_right(sent)
        with Camera(frames, ours.open(), segments=segments, first_frame=first_frame) as camera:
            sent = camera.send(1)
        assert ours.drain(frames.packets_per_frame) > 0
        assert ours.is_right(sent)
        ours.close_port()
    ours.close()
    copying.close()


@pytest.mark.long
def test_a_port_that_is_calm_is_drained_while_the_kernel_looks_at_senders(tmp_path: Path) -> None:
    frames = Frames(JUNGFRAU)
    ours = PortDrain(frames, tmp_path / "ours", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES)
    port = ours.open()
    numbers = itertools.count(1)

    def send_one() -> Sent:
        with Camera(frames, port, segments=False, first_frame=next(numbers)) as camera:
            return camera.send(1)

    ours.become_calm(send_one)
    sent = send_one()
    assert ours.drain(frames.packets_per_frame) > 0
    assert ours.is_filtered
    assert ours.is_right(sent)
    ours.close_port()
    ours.close()


def test_packets_are_those_of_the_detector_with_number_and_stamp_of_their_frame(tmp_path: Path) -> None:
    frames = Frames(JUNGFRAU)
    assert (frames.packets_per_frame, frames.packet_bytes) == (128, 8240)
    copying = CopyingReceiver(frames, tmp_path / "ring", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES)
    with Camera(frames, copying.port, segments=False, first_frame=41) as camera:
        camera.send(1)
    copying.close()
    headers = frames.packets[41 % 2, :, :48].copy().view(SLS_HEADER)
    assert (headers["frame_number"] == 41).all()
    assert (headers["packet_number"][:, 0] == np.arange(128)).all()
    stamps = [frames.expected(frame)[:8].tobytes() for frame in range(40, 48)]
    assert len(set(stamps)) == len(stamps)


def test_a_ring_that_lacks_a_packet_is_not_right(tmp_path: Path) -> None:
    frames = Frames(EIGER)
    copying = CopyingReceiver(frames, tmp_path / "ring", n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES, batch=1)
    with Camera(frames, copying.port, segments=False) as camera:
        sent = camera.send(1)
    copying.start(frames.packets_per_frame - 1)
    copying.finish(stop=False)
    assert not copying.is_right(sent)
    copying.start(1)
    copying.finish(stop=False)
    assert copying.is_right(sent)
    copying.close()


def test_a_receiver_without_a_goal_goes_on_until_it_is_told_to_stop(copying: CopyingReceiver) -> None:
    frames = Frames(EIGER)
    copying.start()
    with Camera(frames, copying.port, segments=True) as camera:
        sent = camera.send(3, bytes_per_s=100e6)
    wait_until(lambda: copying.n_received == 3 * frames.packets_per_frame, 5.0)
    copying.finish()
    assert copying.is_right(sent)


def test_the_camera_keeps_its_rate_and_can_be_stopped(copying: CopyingReceiver) -> None:
    frames = Frames(EIGER)
    rate = frames.bytes_per_frame * 100
    with Camera(frames, copying.port, segments=False, packets_per_burst=4) as camera:
        sent = camera.send(5, bytes_per_s=rate)
        assert sent.seconds > 0.95 * 4 / 100
        assert (np.diff(sent.sent_ns) > 0).all()
        stopper = threading.Timer(0.1, camera.stop)
        stopper.start()
        started = time.monotonic()
        assert camera.send(10_000, bytes_per_s=rate).n_frames < 10_000
        assert time.monotonic() - started < 50
        stopper.join()


def test_drops_of_a_socket_that_nobody_reads_are_seen_from_outside(copying: CopyingReceiver) -> None:
    frames = Frames(EIGER)
    assert kernel_drops(copying.port) == 0
    with Camera(frames, copying.port, segments=False) as camera:
        sent = camera.send(copying.granted_bytes // frames.bytes_per_frame * 3)
    waiting = sent.n_frames * frames.packets_per_frame - kernel_drops(copying.port)
    copying.start(waiting)
    copying.finish(stop=False)
    assert copying.n_received == waiting
    assert kernel_drops(copying.port) > 0


@pytest.mark.long
def test_the_service_on_one_core_receives_and_announces_what_is_sent(runtime: Path) -> None:
    frames = Frames(EIGER)
    core = min(os.sched_getaffinity(0))
    with (
        closing(
            ReceiverProcess(frames, Setting(runtime, runtime), n_slots=N_SLOTS, buffer_bytes=BUFFER_BYTES, core=core)
        ) as service,
        Announcements(service.address, core=core) as announcements,
        Camera(frames, service.port, segments=True) as camera,
    ):
        service.begin()
        sent = camera.send(3, bytes_per_s=50e6)
        assert service.end(sent)
        assert service.cpu_s > service.main_thread_s / 2 > 0
        announcements.take()
        while not announcements.wait_for(1):
            camera.send(1)
        times_ns, said = announcements.take()
        assert len(times_ns) == len(said) > 0
        assert not said["status"].any()


def test_a_trial_ends_when_the_kernel_drops_and_says_that_not_all_arrived(copying: CopyingReceiver) -> None:
    class Sleeper:
        """Receives nothing."""

        port = copying.port

        def begin(self) -> None: ...

        def end(self, sent: Sent) -> bool:
            return False

    with closing(LosslessTrials(Sleeper(), Frames(EIGER), min(os.sched_getaffinity(0)))) as trials:
        started = time.monotonic()
        assert not trials.lasting(60.0)(None).is_lossless
        assert time.monotonic() - started < 30


def test_a_trial_at_a_rate_below_the_limit_loses_nothing(copying: CopyingReceiver) -> None:
    with closing(LosslessTrials(copying, Frames(EIGER), min(os.sched_getaffinity(0)))) as trials:
        trial = trials.lasting(0.2)(20e6)
        assert trial.is_lossless
        assert trial.bytes_per_s < 25e6


def test_two_cores_are_needed() -> None:
    assert sender_and_receiver((3, 5, 7)) == (3, 5)
    with pytest.raises(ResourceError, match="a core each"):
        sender_and_receiver((3,))
