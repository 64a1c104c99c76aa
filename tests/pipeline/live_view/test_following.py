"""A real std-live-view follows what pauses, and what begins anew: every image of a slow source, within a second."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from std_daq.telescope.pff import PffWriter
from std_test_kit.live_view_calls import (
    IMG16,
    PH256,
    SOCKETS,
    Producer,
    assert_is_frame,
    begun,
    live_view,
    upload_image,
)
from std_test_kit.store_driver import RingPublisher
from std_test_kit.telescope_frames import START, make_header, make_pixels, make_run

SEEN_WITHIN_S = 1.0


def assert_seen(stream: Iterator[Any], writer: PffWriter, number: int, module_id: int = 1) -> Any:
    """Write a frame, and check that it is the next image of the stream; returns the image."""
    writer.write(make_pixels(PH256, number, module_id), make_header(PH256, number))
    writer.flush()
    written_s = time.monotonic()
    image = next(stream).pano_image
    assert time.monotonic() - written_s < SEEN_WITHIN_S
    assert_is_frame(image, PH256, number, module_id)
    return image


@pytest.mark.long
@pytest.mark.parametrize("method", ["poll", "pipe"])
def test_every_frame_is_seen_within_a_second_also_in_new_files_runs_and_modules(method: str, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    with live_view(sources={"run_directory": {"method": method}}) as (_, client):
        client.init(data_dir=str(tmp_path), update_interval_seconds=0.05)
        stream = begun(client)
        with PffWriter(run, PH256, 1, START, max_file_bytes=5 * 636) as writer:
            for number in range(12):
                time.sleep(0.05)
                image = assert_seen(stream, writer, number)
                assert (image.file, image.frame_number) == (writer.paths[-1].name, number % 5)
            time.sleep(1.2)  # whoever takes a second without a frame for the end has ended
            assert_seen(stream, writer, 12)
        later = make_run(tmp_path, name="obs_Later.start_2025-01-02T04:04:05Z")
        with PffWriter(later, PH256, 1, START) as writer:
            for number in range(2):
                assert_seen(stream, writer, number)
        with PffWriter(make_run(tmp_path, module_id=2), PH256, 2, START) as writer:
            for number in range(2):
                assert_seen(stream, writer, number, module_id=2)


@pytest.mark.long
def test_every_source_goes_on_after_five_seconds_of_silence(shm_dir: Path, tmp_path: Path) -> None:
    ring = RingPublisher(shm_dir / "det-images", shape=(32, 32), n_slots=8)
    buffer = {"config": str(shm_dir / "det-images"), "module_id": 9}
    sources = SOCKETS | {"run_directory": {"method": "pipe"}, "image_buffers": [buffer]}
    run = make_run(tmp_path)
    with live_view(sources=sources) as (process, client):
        client.init(data_dir=str(tmp_path))
        stream = begun(client)
        with Producer(process, IMG16) as producer, PffWriter(run, PH256, 1, START) as writer:
            for number in range(2):
                time.sleep(5.2 * number)
                producer.send(number)
                assert_is_frame(next(stream).pano_image, IMG16, number)
                client.upload([upload_image(client, IMG16, number, module_id=3)])
                assert_is_frame(next(stream).pano_image, IMG16, number, 3)
                assert_seen(stream, writer, number)
                ring.publish(41 + number)
                assert next(stream).pano_image.frame_number == 41 + number
    ring.close()
