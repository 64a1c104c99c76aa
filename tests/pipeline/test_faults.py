"""What whole beamlines do when something stops, dies or is wrong."""

import json
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.amqp.address import VARIABLE
from std_daq.imaging.detectors.registry import open_detector
from std_daq.imaging.files import layout
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.status_channel import StatusListener
from std_test_kit.beamline import Beamline, Command, wait_accepted
from std_test_kit.expected_images import expected_image
from std_test_kit.small_disk import SmallDisk

SPECIFIC = "/entry/instrument/detector/detectorSpecific"
N_IMAGES = 120
RATE_HZ = 40

MakeConfig = Callable[..., dict[str, Any]]
OpenBeamline = Callable[[dict[str, Any]], Beamline]


def wait_until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    tick = threading.Event()
    for _ in range(int(timeout_s / 0.1)):
        if condition():
            return
        tick.wait(0.1)
    raise TimeoutError("the condition did not come true")


def written_ids(file: Path) -> list[int]:
    with h5py.File(file) as opened:
        return [int(image_id) for image_id in opened[f"{SPECIFIC}/image_id"][:]]


def check_pixels(beamline: Beamline, file: Path, n_different: int) -> None:
    """Compare every image of a run of the counter pattern with what was simulated; none lost packets."""
    detector = open_detector(beamline.config)
    converter = detector.converter()
    with h5py.File(file) as opened:
        rows = {int(image_id): row for row, image_id in enumerate(opened[f"{SPECIFIC}/image_id"][:])}
        missing = opened[f"{SPECIFIC}/missing_packets"][:].sum(axis=1)
        for number, raw in enumerate(detector.simulated_frames("counter", 0), start=1):
            if number > n_different:
                break
            if number in rows and missing[rows[number]] == 0:
                expected = expected_image(detector, converter, raw, number, {})
                np.testing.assert_array_equal(opened["/entry/data/data"][rows[number]], expected)


def record_with_fault(
    beamline: Beamline, file: Path, fault: Callable[[], None], rate_hz: int = RATE_HZ
) -> tuple[int, dict[str, Any]]:
    """Have a run written and let a fault happen after a third of its images."""
    with StatusListener(beamline.broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with beamline.write(file, "--n-images", str(N_IMAGES)) as writing:
            wait_accepted(listener, file)
            arguments = ("--n-images", str(N_IMAGES), "--rate-hz", str(rate_hz), "--pattern", "counter")
            with beamline.start("simulate", *arguments) as simulating:
                images = beamline.open_images()
                wait_until(lambda: images.journal.next_sequence > N_IMAGES // 3)
                images.close()
                fault()
                assert simulating.finish(60.0)[0] == 0
            exit_code, out, err = writing.finish(90.0)
    assert out, err
    return exit_code, json.loads(out)


@pytest.mark.long
def test_images_overwritten_while_a_writer_is_stopped_are_listed_and_no_pixel_is_wrong(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    config = beamline_config("eiger", shared_memory={"image_slots": 16})
    beamline = open_beamline(config)
    images = beamline.open_images()

    def stop_for_a_while() -> None:
        beamline.kill("h5-writer-0", signal.SIGSTOP)
        wait_until(lambda: images.journal.next_sequence >= N_IMAGES)
        beamline.kill("h5-writer-0", signal.SIGCONT)

    exit_code, report = record_with_fault(beamline, tmp_path / "run.h5", stop_for_a_while)
    images.close()
    ids = written_ids(tmp_path / "run.h5")
    assert (exit_code, report["verdict"]) == (3, "incomplete")
    assert len(report["lost_image_ids"]) > 10
    assert sorted(ids + report["lost_image_ids"]) == list(range(1, N_IMAGES + 1))
    assert report["n_written"] == len(ids)
    check_pixels(beamline, tmp_path / "run.h5", N_IMAGES)


@pytest.mark.long
@pytest.mark.parametrize("instance", ["assembler", "udp-recv"])
def test_killed_service_of_the_data_flow_comes_back_and_the_verdict_tells_what_is_missing(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path, instance: str
) -> None:
    beamline = open_beamline(beamline_config("eiger", writer={"image_timeout_s": 20.0}))
    old = beamline.record_of(instance).pid
    # Slowly enough that the service is back before the last image.
    exit_code, report = record_with_fault(beamline, tmp_path / "run.h5", lambda: _kill(beamline, instance), rate_hz=15)
    ids = written_ids(tmp_path / "run.h5")
    assert sorted(ids + report["lost_image_ids"]) == list(range(1, N_IMAGES + 1))
    assert report["n_written"] == len(ids)
    is_whole = len(ids) == N_IMAGES and report["n_incomplete"] == 0
    assert (exit_code, report["verdict"]) == ((0, "complete") if is_whole else (3, "incomplete"))
    if instance == "assembler":  # what arrived meanwhile was still in the FrameBuffer
        assert is_whole
    check_pixels(beamline, tmp_path / "run.h5", N_IMAGES)
    assert beamline.record_of(instance).pid != old
    assert validate(tmp_path / "run.h5").is_valid


@pytest.mark.long
def test_killed_writer_comes_back_and_its_file_opens_after_recover(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger", writer={"flush_interval_s": 0.2}))
    exit_code, report = record_with_fault(beamline, tmp_path / "run.h5", lambda: _kill(beamline, "h5-writer-0"))
    assert (exit_code, report["verdict"]) == (5, "failed")
    assert "h5_writer 0" in report["reason"]
    recover(tmp_path / "run.h5")
    ids = written_ids(tmp_path / "run.h5")
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= report["n_written"] > 0
    check_pixels(beamline, tmp_path / "run.h5", N_IMAGES)
    exit_code, report = beamline.record(
        tmp_path / "next.h5",
        ["--n-images", "5"],
        ["simulate", "--n-images", "5", "--rate-hz", "20", "--first-frame", "1001"],
    )
    assert (exit_code, report["n_written"]) == (0, 5)


@pytest.mark.long
def test_killed_agent_comes_back_and_ends_its_run_with_a_verdict(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger"))
    exit_code, report = record_with_fault(beamline, tmp_path / "run.h5", lambda: _kill(beamline, "writer-agent"))
    assert (exit_code, report["verdict"]) == (5, "failed")
    assert "restarted" in report["reason"]
    ids = written_ids(tmp_path / "run.h5")
    assert report["n_written"] == len(ids) > 0
    check_pixels(beamline, tmp_path / "run.h5", N_IMAGES)


def _kill(beamline: Beamline, instance: str) -> None:
    beamline.wait_restarted(instance, beamline.kill(instance))


@pytest.mark.long
def test_run_until_killed_ends_as_killed_with_all_that_came(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger", writer={"image_timeout_s": 60.0}))
    with StatusListener(beamline.broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with beamline.write(tmp_path / "run.h5") as writing:
            request_id = wait_accepted(listener, tmp_path / "run.h5")
            assert beamline.run("simulate", "--n-images", "20", "--rate-hz", "50")[0] == 0
            images = beamline.open_images()
            wait_until(lambda: images.journal.next_sequence == 20)
            images.close()
            assert beamline.run("kill", request_id)[0] in {0, 4}
            exit_code, out, _ = writing.finish()
    report = json.loads(out)
    assert (exit_code, report["verdict"], report["n_written"]) == (4, "killed", 20)
    assert written_ids(tmp_path / "run.h5") == list(range(1, 21))


@pytest.mark.long
def test_a_full_disk_is_told_within_seconds_and_leaves_every_file_whole(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, mount_folder: Path
) -> None:
    SmallDisk.in_memory(mount_folder, 32 << 20)
    beamline = open_beamline(beamline_config("eiger", number_of_writers=2))
    run = mount_folder / "run.h5"
    with StatusListener(beamline.broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with beamline.write(run, "--images-per-file", "4") as writing:
            wait_accepted(listener, run)
            assert beamline.run("simulate", "--n-images", "60", "--rate-hz", "40", "--pattern", "counter")[0] == 0
            exit_code, out, _ = writing.finish(10.0)  # the run has failed already while packets were sent
    report = json.loads(out)
    assert (exit_code, report["verdict"]) == (5, "failed")
    assert "No space left on device" in report["reason"]
    files = layout.find_data_files(run)
    ids = [image_id for file in files for image_id in written_ids(file)]
    assert report["n_written"] == len(ids) > 8
    assert sorted([*ids, *report["lost_image_ids"]]) == list(range(1, len(ids) + report["n_lost"] + 1))
    for file in files:
        assert validate(file).is_valid
        check_pixels(beamline, file, 60)
    with h5py.File(files[0]) as opened:
        assert opened[layout.VERDICT].asstr()[()] == "failed"


@pytest.mark.long
def test_a_run_that_is_killed_while_the_disk_hangs_ends_and_the_next_one_is_written(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, mount_folder: Path
) -> None:
    disk = SmallDisk.on_device(mount_folder, 512 << 20)
    beamline = open_beamline(beamline_config("eiger", writer={"writer_timeout_s": 3.0}))
    run = mount_folder / "run.h5"
    with StatusListener(beamline.broker_url) as listener:
        listener.connection.wait_connected(10.0)
        with beamline.write(run) as writing:
            wait_accepted(listener, run)
            with beamline.start("simulate", "--n-images", "120", "--rate-hz", "40") as simulating:
                images = beamline.open_images()
                wait_until(lambda: images.journal.next_sequence > 40)
                images.close()
                with disk.hanging():
                    assert beamline.run("kill", "--current")[0] == 0
                    exit_code, out, _ = writing.finish(30.0)
                assert simulating.finish()[0] == 0
    report = json.loads(out)
    assert (exit_code, report["verdict"]) == (5, "failed")
    assert "h5_writer 0" in report["reason"]
    assert f"std-daq recover {run}" in report["reason"]
    next_run = mount_folder / "next.h5"
    send = ["simulate", "--n-images", "20", "--rate-hz", "10", "--first-frame", "1000"]
    exit_code, report = beamline.record(next_run, ["--n-images", "20"], send)
    assert (exit_code, report["verdict"]) == (0, "complete")
    assert validate(next_run).is_valid
    recover(run)
    assert validate(run).is_valid
    assert written_ids(run) == list(range(1, len(written_ids(run)) + 1))


@pytest.mark.long
def test_request_that_cannot_be_carried_out_is_refused_with_its_reason_and_leaves_nothing(
    beamline_config: MakeConfig, open_beamline: OpenBeamline, tmp_path: Path
) -> None:
    beamline = open_beamline(beamline_config("eiger"))
    existing = tmp_path / "existing.h5"
    existing.write_text("precious")
    (tmp_path / "link").symlink_to("/tmp")
    before = sorted(path.name for path in tmp_path.iterdir())
    for path, reason in (
        (existing, "exist"),
        (tmp_path.parent / "outside.h5", "outside"),
        (tmp_path / "link" / "std-daq-outside.h5", "outside"),
    ):
        exit_code, out, _ = beamline.run("write", "--json", "--output-file", str(path), "--n-images", "1")
        report = json.loads(out)
        assert (exit_code, report["verdict"], report["n_written"]) == (6, "refused", 0), path
        assert reason in report["reason"]
    assert existing.read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "exit_code", "says"),
    [
        ({"n_modulse": 4}, 2, "did you mean 'n_modules'"),
        ({"bit_depth": 14}, 2, "bit_depth"),
        ({"ram_buffer_gb": 0.000001}, 2, "ram_buffer_gb"),
        ({"ram_buffer_gb": 100000}, 1, "GB are needed"),
        ({"detector_type": "eigre"}, 2, "unknown detector type"),
    ],
)
def test_services_that_cannot_start_end_the_whole_with_a_clear_message(
    beamline_config: MakeConfig,
    broker_url: str,
    tmp_path: Path,
    shm_dir: Path,
    changes: dict[str, Any],
    exit_code: int,
    says: str,
) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps({**beamline_config("eiger"), **changes}))
    with Command("up", "--config", str(file), environment={VARIABLE: broker_url}) as up:
        code, out, err = up.finish()
    assert code == exit_code
    assert says in err
    assert "ready" not in out
    assert list(shm_dir.iterdir()) == []


@pytest.mark.long
def test_missing_table_and_taken_port_are_named_at_start(
    beamline_config: MakeConfig, broker_url: str, tmp_path: Path, jungfrau_tables: dict[str, Any]
) -> None:
    file = tmp_path / "detector.json"
    options = {**jungfrau_tables, "gain_file": str(tmp_path / "nowhere.h5")}
    document = beamline_config("jungfrau", detector=options)
    file.write_text(json.dumps(document))
    with Command("up", "--config", str(file), environment={VARIABLE: broker_url}) as up:
        code, _, err = up.finish()
    assert code == 2
    assert "nowhere.h5" in err
    document = beamline_config("jungfrau")
    file.write_text(json.dumps(document))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", document["start_udp_port"] + 1))
        with Command("up", "--config", str(file), environment={VARIABLE: broker_url}) as up:
            code, _, err = up.finish()
    assert code == 1
    assert str(document["start_udp_port"] + 1) in err
