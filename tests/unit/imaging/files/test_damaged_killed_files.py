"""The file of a killed writer that is cut or damaged as well: nothing hangs, and what is whole is recovered."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import h5py
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.ending import write_lost_ids
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.own_process import CrashError, run_apart
from std_test_kit.image_files import append_images, describe, image_of, write_image_file

N_IMAGES = 20
PAGE_BYTES = 4096
LONGEST_S = 10.0  # for one file; most take some hundredths


@pytest.fixture(scope="module", params=["none", "bslz4"])
def killed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a file as a killed writer leaves it."""
    path = tmp_path_factory.mktemp("killed") / "live.h5"
    description = describe(compression=request.param)
    with ImageFile.create(path, description) as file:
        append_images(file, range(N_IMAGES), description)
        file.flush()
        return path.read_bytes()


def cuts(data: bytes) -> Iterator[bytes]:
    """Cut the file at its structures, which begin with these signatures, and in between."""
    signatures = (b"OHDR", b"EAHD", b"EAIB", b"EASB", b"EADB", b"OCHK", b"FRHP", b"FHIB", b"FHDB", b"BTHD", b"BTLF")
    places = {data.find(signature) for signature in signatures} | {data.rfind(signature) for signature in signatures}
    places |= {0, 1, 20, 47, 48, len(data) // 2, len(data) - 1}
    yield from (data[: max(place, 0)] for place in sorted(places))


def flips(data: bytes, n: int = 12) -> Iterator[bytes]:
    choose = random.Random(4)
    structures = [at for at in range(len(data)) if data[at : at + 4] in {b"OHDR", b"EAHD", b"EAIB", b"EADB"}]
    for structure in choose.choices(structures, k=n):
        changed = bytearray(data)
        changed[structure + choose.randrange(60)] ^= 1 << choose.randrange(8)
        yield bytes(changed)


def zeroed_pages(data: bytes, n: int = 12) -> Iterator[bytes]:
    for page in random.Random(5).sample(range(0, len(data), PAGE_BYTES), n):
        yield data[:page] + bytes(PAGE_BYTES) + data[page + PAGE_BYTES :]


def use(path: Path, data: bytes, after_each: Callable[[], None]) -> int:
    """Check and repair a damaged file; return how many images it has then, -1 if it cannot be repaired."""
    path.write_bytes(data)
    after_each()
    begin = time.monotonic()
    assert not validate(path).is_valid
    try:
        recover(path)
    except (FileFormatError, OSError):
        assert path.read_bytes() == data  # what cannot be repaired is not changed
        return -1
    finally:
        assert time.monotonic() - begin < LONGEST_S
    if validate(path).is_valid is False:
        return -1
    with h5py.File(path) as file:
        ids = file[layout.IMAGE_ID][:].tolist()
        assert ids == list(range(len(ids)))
        assert all((file[layout.PIXELS][i] == image_of(i)).all() for i in ids)
    return len(ids)


@pytest.mark.long
@pytest.mark.parametrize("damage", [cuts, flips, zeroed_pages])
def test_a_damaged_file_is_told_in_time_and_what_is_whole_is_recovered(
    tmp_path: Path, killed: bytes, damage: Callable[[bytes], Iterator[bytes]]
) -> None:
    path = tmp_path / "run.h5"
    for data in damage(killed):
        assert run_apart(partial(use, path, data), path, patience_s=30.0) <= N_IMAGES


def test_an_image_that_did_not_get_to_the_disk_is_left_out(tmp_path: Path, killed: bytes) -> None:
    path = tmp_path / "run.h5"
    path.write_bytes(killed)
    recover(shutil.copy(path, tmp_path / "copy.h5"))
    with h5py.File(tmp_path / "copy.h5") as file:
        chunk = file[layout.PIXELS].id.get_chunk_info_by_coord((N_IMAGES - 1, 0, 0))
    place = slice(chunk.byte_offset, chunk.byte_offset + chunk.size)
    data = bytearray(killed)
    data[place] = bytes(chunk.size)
    assert use(path, bytes(data), lambda: None) == N_IMAGES - 1


def test_ids_of_lost_images_that_the_writer_had_written_stay(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5")  # closed, and its writer was killed before it wrote the verdict
    with h5py.File(path, "r+") as file:
        write_lost_ids(file[layout.LOST_IMAGE_IDS], (77, 78))
    recover(path)
    report = validate(path)
    assert report.is_valid
    assert (report.n_lost, report.lost_image_ids) == (2, [77, 78])


def test_a_process_that_does_nothing_is_ended(tmp_path: Path) -> None:
    with pytest.raises(CrashError, match="after 1 steps"):
        run_apart(step_and_wait, tmp_path, patience_s=0.2)


def step_and_wait(step: Callable[[], None]) -> None:
    step()
    time.sleep(60)


def test_a_process_that_crashes_is_told(tmp_path: Path) -> None:
    with pytest.raises(CrashError, match="ended by signal SIGKILL: the file is damaged"):
        run_apart(lambda _: os.kill(os.getpid(), signal.SIGKILL), tmp_path)


def test_what_the_process_raises_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        run_apart(partial(recover_step, tmp_path / "x.h5"), tmp_path)


def recover_step(path: Path, step: Callable[[], None]) -> None:
    recover(path, after_each=step)
