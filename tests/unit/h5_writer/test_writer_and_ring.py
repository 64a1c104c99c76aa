"""Rings that come, go and change, and images that are overwritten before they are written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers the filter)
import numpy as np
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.protocols.image_metadata import ImageMetadata
from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.store_stream import ReportKind
from std_h5_writer.ring_reader import RunImage
from std_test_kit.written_run import assert_holds, write_run


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_images_that_were_overwritten_before_they_were_written_are_lost_by_id(
    bench: Any, tmp_path: Path, compression: str
) -> None:
    publisher = bench.make_ring(n_slots=8)
    path = tmp_path / "a.h5"
    bench.agent.start(path, compression=compression)
    for i in range(20):
        bench.agent.send(publisher.publish(i), i)
    bench.agent.end(20)
    drained = bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    assert drained.n_written == 8
    assert bench.agent.lost_image_ids == list(range(12))
    assert_holds(path, list(range(12, 20)))
    with h5py.File(path) as file:
        assert file[layout.LOST_IMAGE_IDS][:].tolist() == list(range(12))
    assert bench.value("daq_writer_images_lost_total") == 12


class OverwriteDuringWrite:
    """Lets images be overwritten in the ring while they are being written."""

    def __init__(self, bench: Any, monkeypatch: pytest.MonkeyPatch, image_ids: set[int]) -> None:
        append = ImageFile.append

        def append_and_overwrite(
            file: ImageFile, chunk: Any, metadata: ImageMetadata, *rest: Any, **flags: Any
        ) -> None:
            if metadata.id in image_ids:
                for _ in range(bench.publisher.ring.n_slots):
                    bench.publisher.publish(10_000)
            append(file, chunk, metadata, *rest, **flags)

        monkeypatch.setattr(ImageFile, "append", append_and_overwrite)


@pytest.mark.parametrize("overwritten", [{0}, {3}, {3, 4, 5}, {9}, set(range(10))])
def test_an_image_that_is_overwritten_while_it_is_written_leaves_no_row(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwritten: set[int]
) -> None:
    publisher = bench.make_ring()
    OverwriteDuringWrite(bench, monkeypatch, overwritten)
    path = tmp_path / "a.h5"
    bench.agent.start(path)
    for i in range(10):
        bench.agent.send(publisher.publish(i), i)
        while bench.n_handled <= i:
            bench.writer.step()
    bench.agent.end(10)
    bench.step_until(ReportKind.DRAINED)
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    assert bench.agent.lost_image_ids == sorted(overwritten)
    assert_holds(path, [i for i in range(10) if i not in overwritten])


def test_a_data_file_whose_images_were_all_overwritten_does_not_spoil_the_master(
    bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.make_ring()
    OverwriteDuringWrite(bench, monkeypatch, {2, 3})
    path = tmp_path / "a.h5"
    files = write_run(bench, path, range(6), images_per_file=2)
    bench.agent.master(path, files)
    bench.step_until(ReportKind.MASTER_WRITTEN)
    assert_holds(path, [0, 1, 4, 5])


def test_a_ring_that_comes_later_is_attached(bench: Any, tmp_path: Path) -> None:
    bench.agent.start(tmp_path / "a.h5")
    bench.writer.step()
    publisher = bench.make_ring()
    bench.agent.send(publisher.publish(1), 0)
    bench.agent.end(1)
    assert bench.step_until(ReportKind.DRAINED).n_written == 1


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_replaced_ring_is_attached_and_images_of_the_old_one_are_not_taken_from_it(
    bench: Any, tmp_path: Path, compression: str
) -> None:
    old = bench.make_ring(n_slots=8)
    bench.agent.start(tmp_path / "a.h5", compression=compression)
    bench.agent.send(old.publish(1), 0)
    bench.agent.send(old.publish(2), 1)
    bench.step_until(ReportKind.PROGRESS)
    unread = old.publish(3)
    unread["sequence"] = 0  # as if it had been read too late
    old.close()
    new = bench.make_ring(n_slots=9)
    bench.agent.send(new.publish(4), 2)
    bench.agent.send(unread, 3)
    bench.agent.end(4)
    assert bench.step_until(ReportKind.DRAINED).n_written == 3
    assert bench.agent.lost_image_ids == [3]
    bench.agent.finish()
    bench.step_until(ReportKind.FINISHED)
    assert_holds(tmp_path / "a.h5", [1, 2, 4])


def test_images_that_change_their_type_in_a_run_fail_it(bench: Any, tmp_path: Path) -> None:
    old = bench.make_ring(dtype="u2")
    bench.agent.start(tmp_path / "a.h5", compression="bslz4")
    bench.agent.send(old.publish(1), 0)
    bench.step_until(ReportKind.PROGRESS)
    old.close()
    new = bench.make_ring(dtype="u4")
    bench.agent.send(new.publish(2), 1)
    assert "changed from uint16 64x128 to uint32 64x128" in bench.step_until(ReportKind.FAILED).message


def test_a_ring_that_does_not_fit_the_pixel_mask_fails_the_run(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring(shape=(8, 8))
    bench.agent.start(tmp_path / "a.h5")
    bench.agent.send(publisher.publish(1), 0)
    assert "pixel mask of shape (64, 128) does not fit" in bench.step_until(ReportKind.FAILED).message


def test_the_lag_behind_the_ring_is_told(bench: Any, tmp_path: Path) -> None:
    publisher = bench.make_ring()
    first = publisher.publish(0)
    for i in range(1, 6):
        publisher.publish(i)
    bench.agent.start(tmp_path / "a.h5")
    bench.agent.send(first, 0)
    bench.step_until(ReportKind.PROGRESS)
    while bench.value("daq_ring_lag_images", reader="h5-writer-0") != 5:
        bench.writer.step()


def test_an_image_knows_when_it_is_no_longer_intact(bench: Any) -> None:
    publisher = bench.make_ring(n_slots=4)
    assert bench.ring.attach()
    publisher.publish(1)
    store_image = np.zeros(1, STORE_IMAGE)
    store_image["metadata"]["id"] = 1
    found = bench.ring.find(store_image)
    assert isinstance(found, RunImage)
    assert found.image.is_intact()
    for i in range(4):
        publisher.publish(i)
    assert not found.image.is_intact()
    assert bench.ring.find(store_image) is None


def test_a_large_image_that_is_overwritten_while_it_is_written_leaves_no_row(
    make_bench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (514, 1030)
    bench = make_bench(image_pixel_height=shape[0], image_pixel_width=shape[1])
    bench.make_ring(shape=shape)
    overwritten = {2, 3, 8}
    OverwriteDuringWrite(bench, monkeypatch, overwritten)
    path = tmp_path / "a.h5"
    write_run(bench, path, range(10))
    assert bench.agent.lost_image_ids == sorted(overwritten)
    assert_holds(path, [i for i in range(10) if i not in overwritten], shape=shape)
    assert 5 <= bench.value("daq_writer_images_written_directly_total") <= 7
