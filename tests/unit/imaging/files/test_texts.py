"""Programs in C read the texts: they ask HDF5 for H5T_C_S1, with the size that the text has in the file."""

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5a, h5d, h5s, h5t

from std_daq.imaging.files import layout
from std_daq.imaging.files.axes import SampleAxis
from std_daq.imaging.files.description import NexusMetadata
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.texts import encode_ascii, write_text, write_text_attribute, write_texts
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import describe, report_of, write_image_file


def read_as_c(item: h5a.AttrID | h5d.DatasetID) -> bytes:
    """Read a text as a program in C does, up to its first null byte."""
    wanted = h5t.C_S1.copy()
    wanted.set_size(item.get_type().get_size())
    buffer = np.zeros(item.shape, f"S{wanted.get_size()}")
    if isinstance(item, h5a.AttrID):
        item.read(buffer, mtype=wanted)
    else:
        item.read(h5s.ALL, h5s.ALL, buffer, mtype=wanted)
    return bytes(buffer.ravel()[0]) if buffer.size else b""


def texts_of(path: Path) -> Iterator[tuple[str, h5a.AttrID | h5d.DatasetID]]:
    items: list[tuple[str, h5py.HLObject]] = []
    with h5py.File(path) as file:
        file.visititems(lambda name, item: items.append((name, item)))
        for name, item in (("/", file), *items):
            for attribute in item.attrs:
                opened = h5a.open(item.id, attribute.encode())
                if isinstance(opened.get_type(), h5t.TypeStringID):
                    yield f"{name}@{attribute}", opened
            if isinstance(item, h5py.Dataset) and isinstance(item.id.get_type(), h5t.TypeStringID):
                yield name, item.id


def test_every_text_of_a_file_and_of_its_master_is_ascii_and_ends_with_a_null_byte(tmp_path: Path) -> None:
    axis = SampleAxis(name="omega", vector=(1.0, 0.0, 0.0), is_rotation=True, increment=0.1)
    report = report_of(Verdict.INCOMPLETE, reason="übergelaufen")
    known = {"nexus": NexusMetadata(axes=(axis,), sample_name="salt"), "request_json": "{}"}
    data_file = write_image_file(tmp_path / "run_data_000001.h5", report=report, master_file="run.h5", **known)
    write_master(tmp_path / "run.h5", [data_file], report)
    for path in (data_file, tmp_path / "run.h5"):
        names = set()
        for name, item in texts_of(path):
            kind = item.get_type()
            assert (kind.get_cset(), kind.get_strpad()) == (h5t.CSET_ASCII, h5t.STR_NULLTERM), name
            assert len(read_as_c(item)) < kind.get_size(), name
            names.add(name)
        assert {"/@default", "entry@NX_class", "entry/definition", "entry/sample/depends_on", "entry/title"} <= names
        assert "entry/sample/transformations/omega@units" in names


def test_a_unit_of_one_letter_is_read_whole(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", report=report_of())
    with h5py.File(path) as file:
        assert read_as_c(h5a.open(file[f"{layout.DETECTOR}/x_pixel_size"].id, b"units")) == b"m"


@pytest.mark.parametrize("text", ["", "a", "Zürich", "光子" * 100])
def test_any_text_is_read_back(tmp_path: Path, text: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_text(file, "dataset", text)
        write_text_attribute(file["dataset"], "attribute", text)
        write_texts(file, "list", [text.encode(), b"x"])
        assert file["dataset"].asstr()[()] == text
        found = file["dataset"].attrs["attribute"]
        assert (found if isinstance(found, str) else found.decode()) == text
        assert [one.decode() for one in file["list"][:]] == [text, "x"]


def test_what_replaces_a_text_is_cut_to_its_room() -> None:
    assert encode_ascii("é€\0x", 100) == rb"\xe9\u20acx"
    assert encode_ascii("abc", 2) == b"ab"


def test_a_name_that_is_not_ascii_is_in_the_file(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "Zürich.h5", nexus=describe().nexus)
    with h5py.File(path) as file:
        assert file["entry/title"].asstr()[()] == "Zürich"
