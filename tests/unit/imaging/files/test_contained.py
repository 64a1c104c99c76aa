"""An image of a file that somebody else may have made: nothing that leads elsewhere is read."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.contained import read_contained
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.picture import read_pixels
from std_test_kit.image_files import SHAPE, image_of, report_of, write_image_file

Change = Callable[[Path, Path], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside the root, of which no pixel may be told."""
    return write_image_file(tmp_path / "secret.h5", range(100, 110), report_of())


@pytest.mark.parametrize("compression", ["none", "bslz4"])
@pytest.mark.parametrize(
    "shares", [[[0, 2, 4, 6], [1, 3, 5, 7]], [[0, 1, 5, 9], [2, 3, 4, 6, 7], [8, 10]], [[0, 1], []]]
)
def test_images_of_masters_are_those_that_hdf5_shows(root: Path, shares: list[list[int]], compression: str) -> None:
    files = [
        write_image_file(layout.data_file_path(root / "a%b.h5", number), ids, report_of(), compression=compression)
        for number, ids in enumerate(shares, start=1)
    ]
    write_master(root / "a%b.h5", files, report_of())
    for row, image_id in enumerate(sorted(image_id for share in shares for image_id in share)):
        pixels = read_contained([root], root / "a%b.h5", row)
        np.testing.assert_array_equal(pixels, image_of(image_id))
        np.testing.assert_array_equal(pixels, read_pixels(root / "a%b.h5", row))


def test_image_of_a_closed_file_a_masked_one_and_one_that_is_not_there(root: Path) -> None:
    file = write_image_file(root / "a.h5", range(3), report_of(), pixel_mask=np.eye(*SHAPE, dtype="u4"))
    pixels = read_contained([root], file, 2)
    assert np.isnan(pixels).sum() == min(SHAPE)
    np.testing.assert_array_equal(pixels, read_pixels(file, 2))
    with pytest.raises(FileFormatError, match=r"a\.h5: there is no image 3; the file has 3 images"):
        read_contained([root], file, 3)


def _link(file: Path, secret: Path) -> None:
    file.unlink()
    file.symlink_to(secret)


def _pipe(file: Path, _: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _linked_folder(file: Path, secret: Path) -> None:
    file.unlink()
    file.parent.rmdir()
    file.parent.symlink_to(secret.parent)
    secret.rename(secret.with_name(file.name))


def _external_link(file: Path, secret: Path) -> None:
    with h5py.File(file, "r+") as opened:
        del opened[layout.PIXELS]
        opened[layout.PIXELS] = h5py.ExternalLink(str(secret), layout.PIXELS)


def _external_group(file: Path, secret: Path) -> None:
    with h5py.File(file, "r+") as opened:
        del opened["entry"]
        opened["entry"] = h5py.ExternalLink(str(secret), "entry")


def _soft_link_to_an_external_one(file: Path, secret: Path) -> None:
    with h5py.File(file, "r+") as opened:
        del opened[layout.PIXELS]
        opened["there"] = h5py.ExternalLink(str(secret), "/")
        opened[layout.PIXELS] = h5py.SoftLink(f"/there{layout.PIXELS}")


def _bytes_outside(file: Path, secret: Path) -> None:
    with h5py.File(file, "r+") as opened:
        del opened[layout.PIXELS]
        n_bytes = 2 * SHAPE[0] * SHAPE[1]
        opened.create_dataset(layout.PIXELS, (1, *SHAPE), "u2", external=[(str(secret), 0, n_bytes)])


def _mask_outside(file: Path, secret: Path) -> None:
    with h5py.File(file, "r+") as opened:
        opened[layout.PIXEL_MASK] = h5py.ExternalLink(str(secret), layout.PIXELS)


def _mask_of_parts_outside(file: Path, secret: Path) -> None:
    virtual = h5py.VirtualLayout(SHAPE, "u2")
    virtual[:] = h5py.VirtualSource(str(secret), layout.PIXELS, (10, *SHAPE), "u2")[0]
    with h5py.File(file, "r+") as opened:
        opened.create_virtual_dataset(layout.PIXEL_MASK, virtual)


def _sources(name: str) -> Change:
    def change(file: Path, secret: Path) -> None:
        with h5py.File(file, "r+") as opened:
            del opened[layout.PIXELS]
            virtual = h5py.VirtualLayout((10, *SHAPE), "u2")
            place = name.format(secret=secret)
            virtual[:] = h5py.VirtualSource(place, layout.PIXELS, (10, *SHAPE), "u2")
            opened.create_virtual_dataset(layout.PIXELS, virtual)
        (file.parent / "linked.h5").symlink_to(secret)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _link,
        _pipe,
        _linked_folder,
        _external_link,
        _external_group,
        _soft_link_to_an_external_one,
        _bytes_outside,
        _mask_outside,
        _mask_of_parts_outside,
        _sources("{secret}"),
        _sources("../../secret.h5"),
        _sources("linked.h5"),
        _sources("."),
    ],
)
def test_what_leads_out_of_the_roots_is_not_read(root: Path, secret: Path, change: Change) -> None:
    (root / "run").mkdir()
    file = write_image_file(root / "run" / "a.h5", report=report_of())
    change(file, secret)
    with pytest.raises((FileFormatError, OSError)) as raised:
        read_contained([root], file, 0)
    assert not isinstance(raised.value, FileNotFoundError)
    assert str(raised.value)


def test_data_file_that_is_a_master_itself_is_not_followed(root: Path, secret: Path) -> None:
    file = write_image_file(root / "a.h5", report=report_of())
    inner = write_image_file(root / "inner.h5", report=report_of())
    _sources("inner.h5")(file, secret)
    (root / "linked.h5").unlink()
    _sources("a.h5")(inner, secret)
    with pytest.raises(FileFormatError, match=r"inner\.h5: no data file of a\.h5"):
        read_contained([root], file, 0)


def test_without_roots_a_file_may_lie_anywhere(secret: Path) -> None:
    np.testing.assert_array_equal(read_contained([], secret, 0), image_of(100))
