"""Pictures of images in files: read in a process that is bounded in time and memory, below the output roots."""

import asyncio
import io
import json
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from std_daq.imaging.files import layout
from std_daq.recording.requests import StatusMessage
from std_test_kit.image_files import REQUEST_ID, SHAPE, report_of, write_image_file
from std_test_kit.wait import wait_until
from std_test_kit.web_console import RunningConsole, running_console
from std_web.filed_images.order import KeptParts, PictureOrder
from std_web.filed_images.pictures import FiledPictures, PictureError
from std_web.older.acquisition import OlderRun
from std_web.runs.desk import RunDesk

SIDE = 10_000


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a process time enough to start on a machine that has much else to do."""
    monkeypatch.setattr("std_web.filed_images.pictures._TIMEOUT_S", 60.0)


def order_of(file: Path, *roots: Path, **changes: object) -> PictureOrder:
    fields: dict[str, object] = {"run": "a", "row": 0, "size": 64, "encoding": "png"}
    return PictureOrder(file=str(file), roots=tuple(map(str, roots)), **(fields | changes))  # type: ignore[arg-type]


def made(order: PictureOrder) -> Image.Image:
    return Image.open(io.BytesIO(asyncio.run(FiledPictures().of(order))))


def slow_to_read(file: Path) -> None:
    """Put each pixel into a chunk of 400 MB of its own: HDF5 takes minutes, and cannot be interrupted."""
    kind = h5py.h5t.STD_U32LE.copy()
    kind.set_precision(31)
    with h5py.File(file, "r+") as opened:
        del opened[layout.PIXELS]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((SIDE * SIDE, 1, 1))
        properties.set_filter(h5py.h5z.FILTER_NBIT, 0)
        properties.set_deflate(1)
        space = h5py.h5s.create_simple((1, 8, 8), (h5py.h5s.UNLIMITED,) * 3)
        dataset = h5py.h5d.create(opened.id, layout.PIXELS.encode(), kind, space, properties)
        chunk = zlib.compress(bytes(SIDE * SIDE * 31 // 8), 1)
        for row, column in np.ndindex(8, 8):
            dataset.write_direct_chunk((0, row, column), chunk)


def large(file: Path) -> None:
    with h5py.File(file, "r+") as opened:
        del opened[layout.PIXELS]
        opened.create_dataset(layout.PIXELS, (1, 60_000, 60_000), "u4", chunks=(1, 100, 100))


@pytest.mark.long
def test_picture_is_of_the_row_and_without_the_parts_that_are_left_out(tmp_path: Path) -> None:
    file = write_image_file(tmp_path / "a.h5", report=report_of())
    whole = made(order_of(file, tmp_path))
    assert (whole.format, whole.size) == ("PNG", SHAPE[::-1])
    kept = KeptParts(SHAPE, ((0, 4), (6, 7)), ((10, 20),))
    part = made(order_of(file, tmp_path, encoding="jpeg", kept=kept))
    assert (part.format, part.size) == ("JPEG", (10, 5))
    other = made(order_of(file, tmp_path, kept=KeptParts((1, 1), ((0, 1),), ((0, 1),))))
    assert other.size == whole.size, "parts of another shape do not count"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.write_bytes(b"nothing"), "not an HDF5 file"),
        (lambda file: file.write_bytes(file.read_bytes()[:3000]), "cannot be read"),
        (lambda file: file.unlink(), "No such file"),
        (lambda file: file.rename(file.with_name("b.h5")) and file.symlink_to("b.h5"), "this is a link"),
        (lambda file: (file.unlink(), os.mkfifo(file)), "this is not a file"),
        (large, "Unable to allocate 13.4 GiB"),
    ],
)
def test_file_that_cannot_be_shown_is_told_in_one_line(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    file = write_image_file(tmp_path / "a.h5", report=report_of())
    change(file)
    with pytest.raises(PictureError, match=message) as raised:
        made(order_of(file, tmp_path))
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


def test_file_outside_the_roots_is_not_read(tmp_path: Path) -> None:
    file = write_image_file(tmp_path / "a.h5", report=report_of())
    (tmp_path / "data").mkdir()
    with pytest.raises(PictureError, match="outside the allowed folders"):
        made(order_of(tmp_path / "data" / ".." / file.name, tmp_path / "data"))


@pytest.mark.long
def test_file_over_which_hdf5_hangs_is_given_up_and_the_next_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, good = (write_image_file(tmp_path / name, report=report_of()) for name in ("hangs.h5", "good.h5"))
    slow_to_read(hanging)

    async def ask() -> list[bytes | BaseException]:
        pictures = FiledPictures()
        with monkeypatch.context() as impatient:
            impatient.setattr("std_web.filed_images.pictures._TIMEOUT_S", 4.0)
            failed = await asyncio.gather(pictures.of(order_of(hanging, tmp_path)), return_exceptions=True)
        return [*failed, await pictures.of(order_of(good, tmp_path))]

    failed, picture = asyncio.run(ask())
    assert str(failed) == f"{hanging}: it could not be read within 4 s"
    assert isinstance(picture, bytes)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def bound(detector_file: Path, root: Path, runtime: Path) -> Iterator[RunningConsole]:
    """A console of a detector with an output root, which knows the run 'night' with the file a.h5 from before."""
    document = json.loads(detector_file.read_text())
    document["writer"] = {"output_roots": [str(root)]}
    detector_file.write_text(json.dumps(document))
    (runtime / "small").mkdir(mode=0o770)
    run = OlderRun("1", "night", "/a.h5", 10, state="FINISHED", files=(str(root / "a.h5"),))
    (runtime / "small" / "web-acquisitions.json").write_text(json.dumps([run.to_record()]))
    with running_console(detector_file) as console:
        report = report_of(files=(str(root / "a.h5"),), n_written=10)
        desk = next(part for part in console.console.parts if isinstance(part, RunDesk))
        desk._book.feed(StatusMessage.of_report(report, source="small", body=b""), 0.0)
        yield console


@pytest.mark.long
def test_both_interfaces_show_a_run_below_the_roots_and_none_that_leads_out(bound: RunningConsole, root: Path) -> None:
    older, newer = "/file/night/0", f"/api/v1/detectors/small/runs/{REQUEST_ID}/thumbnail"
    file = write_image_file(root / "a.h5", report=report_of())
    for path in (older, newer):
        answer = bound.get(path)
        assert answer.headers["content-type"].startswith("image/"), answer.body
        assert Image.open(io.BytesIO(answer.body)).size == SHAPE[::-1]
    bound.get(older)
    secret = file.rename(root.parent / "secret.h5")
    file.symlink_to(secret)
    for path in ("/file/night/1", f"{newer}?size=100"):
        answer = bound.get(path)
        assert answer.headers["content-type"] in {"application/json", "application/problem+json"}
        assert b"this is a link, and links are not followed here" in answer.body
    assert np.asarray(Image.open(io.BytesIO(bound.get(older).body))).size, "what was shown before is kept"


def test_service_itself_opens_no_hdf5_file(bound: RunningConsole, root: Path) -> None:
    os.mkfifo(root / "a.h5")  # who opens it as a file waits for ever
    wait_until(lambda: bound.get("/file/night/0").json()["status"] == "error", 20.0)
    assert bound.get("/api/v1/detectors").status == 200
