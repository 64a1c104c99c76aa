"""A bit that flips in a file is found, or changes nothing that a reader sees."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.imaging.files import layout
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.description import NexusMetadata
from std_daq.imaging.files.ending import finish_closed
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import ValidationReport, validate
from std_daq.recording.own_process import CrashError, run_apart
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import (
    SHAPE,
    append_images,
    describe,
    image_of,
    metadata_of,
    modules_of,
    report_of,
    write_image_file,
)

REPORT = report_of(Verdict.INCOMPLETE, reason="2 lost", n_incomplete=2, n_lost=2, lost_image_ids=(100, 101))
MASK = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint32).reshape(SHAPE)


def write_rich_file(path: Path, ids: range = range(10), compression: str = "none") -> Path:
    axis = SampleAxis(name="omega", vector=(1.0, 0.0, 0.0), is_rotation=True, increment=0.1)
    return write_image_file(
        path, ids, REPORT, pixel_mask=MASK, compression=compression, nexus=NexusMetadata(axes=(axis,))
    )


def content(path: Path) -> dict[str, object]:
    """Return all that a reader sees of a file: its structure, attributes and values."""
    found: dict[str, object] = {}

    def visit(name: str, item: h5py.HLObject) -> None:
        value = item[()].tobytes() if isinstance(item, h5py.Dataset) else b""
        found[name] = (str(item), {key: str(item.attrs[key]) for key in item.attrs}, value)

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    return found


def errors_of(report: ValidationReport) -> list[str]:
    return [problem.text for problem in report.problems if problem.severity == "error"]


def flip(path: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


def used_bytes(path: Path) -> Iterator[tuple[int, int]]:
    """Yield offset and size of what a file stores of each dataset."""
    with h5py.File(path) as file:
        datasets: list[h5py.Dataset] = []
        file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
        for dataset in datasets:
            if dataset.chunks is None:
                if dataset.id.get_offset() is not None:
                    yield dataset.id.get_offset(), dataset.id.get_storage_size()
                continue
            n_bytes = dataset.nbytes if dataset.id.get_create_plist().get_nfilters() == 0 else None
            for i in range(dataset.id.get_num_chunks()):
                chunk = dataset.id.get_chunk_info(i)
                yield chunk.byte_offset, chunk.size if n_bytes is None else min(chunk.size, n_bytes)


def is_told(path: Path) -> bool:
    """Return whether `validate` finds damage, or crashes over it; like the command, in a process of its own."""
    try:
        return not run_apart(lambda _: validate(path).is_valid, path)
    except CrashError:
        return True


def assert_found(path: Path, sound: bytes, expected: dict[str, object], offset: int, bit: int) -> bool:
    """Flip a bit; return whether `validate` found it, and fail if it did not although the content changed."""
    data = bytearray(sound)
    data[offset] ^= 1 << bit
    path.write_bytes(data)
    if is_told(path):
        return True
    is_same = run_apart(lambda _: content(path) == expected, path)
    assert is_same, f"bit {bit} of byte {offset} changed what the file says"
    return False


N_FLIPS = [15, pytest.param(60, marks=pytest.mark.long)]


def flip_many(path: Path, n: int, seed: str) -> None:
    """Flip bits in what the datasets store, and as many anywhere in the file."""
    assert validate(path).is_valid
    sound, expected, choose = path.read_bytes(), content(path), random.Random(seed)
    used = [*used_bytes(path)]
    places = [choose.randrange(first, first + n_bytes) for first, n_bytes in choose.choices(used, k=n)]
    assert sum(assert_found(path, sound, expected, place, choose.randrange(8)) for place in places) > n // 2
    for place in (choose.randrange(len(sound)) for _ in range(n)):
        assert_found(path, sound, expected, place, choose.randrange(8))


@pytest.mark.long
@pytest.mark.parametrize("n_flips", N_FLIPS)
@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_no_flipped_bit_changes_a_file_that_is_told_as_sound(tmp_path: Path, compression: str, n_flips: int) -> None:
    flip_many(write_rich_file(tmp_path / "a.h5", compression=compression), n_flips, compression)


@pytest.mark.long
@pytest.mark.parametrize("n_flips", N_FLIPS)
def test_no_flipped_bit_changes_a_master_that_is_told_as_sound(tmp_path: Path, n_flips: int) -> None:
    files = [write_rich_file(tmp_path / f"{i}.h5", range(5 * i, 5 * i + 5)) for i in range(2)]
    path = tmp_path / "run.h5"
    write_master(path, files, REPORT)
    flip_many(path, n_flips, "master")


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_the_image_with_a_flipped_bit_is_named(tmp_path: Path, compression: str) -> None:
    path = write_rich_file(tmp_path / "a.h5", range(40, 50), compression)
    with h5py.File(path) as file:
        offset = file[layout.PIXELS].id.get_chunk_info_by_coord((7, 0, 0)).byte_offset
    flip(path, offset + 100)
    report = validate(path)
    assert errors_of(report) == ["pixels changed after they were written, of image 7 (id 47): wrong checksum"]
    assert report.n_images_read == 9


@pytest.mark.parametrize(
    "name", [*layout.PER_IMAGE, *layout.CHECKSUM_COLUMNS, f"{layout.SAMPLE_TRANSFORMATIONS}/omega"]
)
def test_a_changed_value_of_an_image_is_told_with_the_image(tmp_path: Path, name: str) -> None:
    path = write_rich_file(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        value = np.array(file[name][3])
        value.reshape(-1).view(np.uint8)[0] ^= 4
        file[name][3] = value
    ids = 3 ^ 4 if name == layout.IMAGE_ID else 3
    expected = f"metadata changed after they were written, of image 3 (id {ids}): wrong checksum"
    assert expected in errors_of(validate(path))


def test_a_changed_text_is_named(tmp_path: Path) -> None:
    path = write_rich_file(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file[layout.REQUEST][()] = file[layout.REQUEST][()].replace(b"Lysozym", b"Lysozyn")
        file[layout.PIXEL_MASK][3, 4] = 0
    expected = f"{layout.PIXEL_MASK}, {layout.REQUEST} changed after the file was written: wrong checksum"
    assert errors_of(validate(path)) == [expected]


@pytest.mark.parametrize("name", [*layout.END_VALUES[1:-1], layout.LOST_IMAGE_IDS, layout.CALIBRATIONS])
def test_a_changed_end_of_the_run_is_told(tmp_path: Path, name: str) -> None:
    path = write_rich_file(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        data = np.atleast_1d(np.array(file[name][()]))
        data.view(np.uint8)[0] ^= 1
        file[name][...] = data.reshape(file[name].shape)
    assert any("the end of the run changed" in text for text in errors_of(validate(path)))


def test_what_somebody_adds_to_a_file_is_no_damage(tmp_path: Path) -> None:
    path = write_rich_file(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file["/entry/processed/peaks"] = np.arange(5)
        file.attrs["remark"] = "good crystal"
    assert validate(path).is_valid


def finish_late(path: Path) -> None:
    write_image_file(path)
    finish_closed(path, REPORT)


def kill_and_recover(path: Path) -> None:
    growing = path.with_name("growing.h5")
    with ImageFile.create(growing, describe()) as file:
        append_images(file, range(10), describe())
        file.flush()
        shutil.copy(growing, path)
    recover(path)


def drop_and_write(path: Path) -> None:
    with ImageFile.create(path, describe()) as file:
        append_images(file, range(10), describe())
        file.drop_last()
        append_images(file, [44], describe())
        file.finish(REPORT)


@pytest.mark.parametrize("make", [finish_late, kill_and_recover, drop_and_write])
def test_checksums_are_right_however_a_file_came_to_its_end(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "a.h5"
    make(path)
    assert errors_of(validate(path)) == []
    with h5py.File(path, "r+") as file:
        file[layout.REASON][()] = b"nothing happened"
    assert len(errors_of(validate(path))) == 1


@pytest.mark.parametrize("is_direct", [False, True])
def test_the_checksum_of_a_large_image_is_that_of_its_bytes(tmp_path: Path, is_direct: bool) -> None:
    shape, ids = (512, 1024), range(20)
    images = [np.full(shape, i, "u2") + np.arange(1024, dtype="u2") for i in ids]
    path = tmp_path / "a.h5"
    with ImageFile.create(path, describe(shape=shape)) as file:
        for i in ids:
            file.append(images[i], metadata_of(i), modules_of(i), past_page_cache=is_direct)
        file.finish(report_of(Verdict.INCOMPLETE))
    assert errors_of(validate(path)) == []


def test_a_growing_file_can_be_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with ImageFile.create(path, describe()) as file:
        append_images(file, range(10), describe())
        file.flush()
        append_images(file, range(10, 12), describe())
        report = validate(shutil.copy(path, tmp_path / "b.h5"))
    assert report.n_images_read == 10
    assert not any("checksum" in text for text in errors_of(report))


def test_pixels_are_not_compared_with_a_foreign_image(tmp_path: Path) -> None:
    path = write_rich_file(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file[layout.PIXELS][4] = image_of(5)
    assert errors_of(validate(path)) == ["pixels changed after they were written, of image 4 (id 4): wrong checksum"]
