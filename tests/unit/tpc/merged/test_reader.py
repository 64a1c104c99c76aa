"""Reading of merged files: all layouts, damaged files, and files of others."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.tpc.merged.layout import Layout
from std_daq.tpc.merged.reader import MergedFile
from std_test_kit.merged_files import (
    SILICON,
    WRITERS,
    make_traces,
    write_1_0,
    write_2_0,
    write_harmonizer,
    write_legacy,
)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_layout_gives_the_same_traces_ids_and_times(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / "f.h5")
    with MergedFile(tmp_path / "f.h5") as file:
        events = [event for event in file if event.has_get]
        assert [event.n for event in events] == ([0, 2] if kind in {"harmonizer", "2.0"} else [0, 1, 2])
        for event in events:
            np.testing.assert_array_equal(event.traces, make_traces(event.n, 5 + event.n))
            assert event.traces.dtype == np.int16
            assert (event.id, event.timestamp, event.timestamp_other) == (100 + event.n, 1000 + event.n, 2000 + event.n)
            assert event.epoch is event.is_complete is event.missing_boards is None


@pytest.mark.parametrize(
    ("kind", "layout", "version"),
    [
        ("legacy", Layout.LEGACY, ""),
        ("0.2.0", Layout.V1_0, "libattpc_merger:0.2.0"),
        ("2.0", Layout.V2_0, "libattpc_merger:2.0"),
        ("harmonizer", Layout.V1_0, "harmonizer:0.1.0"),
    ],
)
def test_layout_and_version_are_told(tmp_path: Path, kind: str, layout: Layout, version: str) -> None:
    WRITERS[kind](tmp_path / "f.h5")
    with MergedFile(tmp_path / "f.h5") as file:
        assert (file.layout, file.version) == (layout, version)


@pytest.mark.parametrize("kind", ["legacy", "1.0"])
def test_what_the_other_acquisition_recorded_is_there_for_the_events_that_have_it(tmp_path: Path, kind: str) -> None:
    WRITERS[kind](tmp_path / "f.h5")
    with MergedFile(tmp_path / "f.h5") as file:
        assert file.read(1).frib is None
        frib = file.read(2).frib
        assert frib is not None
        assert (frib.id, frib.timestamp, frib.modules["1903"].shape) == (52, 62, (40, 8))
        np.testing.assert_array_equal(frib.modules["977"], [3 if kind == "legacy" else 2])


def test_the_harmonizer_calls_the_number_event_and_names_the_original_run(tmp_path: Path) -> None:
    write_harmonizer(tmp_path / "f.h5")
    with MergedFile(tmp_path / "f.h5") as file:
        event = file.read(2)
        assert event.frib is not None
        assert (event.frib.id, event.orig_run, event.orig_event, file.numbers) == (52, 17, 902, [0, 2])
        with pytest.raises(KeyError):
            file.read(1)


def test_layout_2_has_silicon_and_events_of_the_other_acquisition_alone(tmp_path: Path) -> None:
    write_2_0(tmp_path / "f.h5")
    with MergedFile(tmp_path / "f.h5") as file:
        event = file.read(2)
        assert [len(event.silicon[name]) for name in SILICON] == [0, 1, 2, 3]
        np.testing.assert_array_equal(event.silicon["si_downstream_back"], make_traces(302, 3))
        other = file.read(1)
        assert (other.has_get, other.id, other.traces.shape) == (False, None, (0, 517))
        assert other.frib is not None
        assert set(other.frib.modules) == {"977", "1903", "1904", "1905", "1906"}


def test_the_last_event_is_read_whatever_max_event_says(tmp_path: Path) -> None:
    write_1_0(tmp_path / "f.h5", 4)
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        file["events"].attrs["max_event"] = np.uint64(1)
    with MergedFile(tmp_path / "f.h5") as merged:
        assert [event.n for event in merged] == [0, 1, 2, 3]


def test_events_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    write_1_0(tmp_path / "f.h5", 12)
    with MergedFile(tmp_path / "f.h5") as file:
        assert [event.n for event in file] == list(range(12))


def _cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def _text(path: Path) -> None:
    path.write_text("CoBo0_AsAd0\n")


def _other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["entry/data"] = 1


def _meta_is_no_group(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["meta"] = 1


@pytest.mark.parametrize("damage", [_cut, _text, _other_hdf5, _meta_is_no_group])
def test_a_damaged_or_foreign_file_is_refused_with_its_path(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "f.h5"
    write_1_0(path)
    damage(path)
    with pytest.raises(FileFormatError, match=str(path)):
        MergedFile(path)


def test_a_missing_file_is_no_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MergedFile(tmp_path / "none.h5")


@pytest.mark.parametrize(
    "traces",
    [
        np.zeros((3, 516), "i2"),
        np.zeros((3, 517), "f4"),
        np.zeros(517, "i2"),
        np.zeros((3, 517), "i4"),
        h5py.Empty("i2"),
    ],
)
def test_traces_of_another_shape_or_type_are_refused_with_their_place(tmp_path: Path, traces: object) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["events/event_0/get_traces"] = traces
    with (
        MergedFile(tmp_path / "f.h5") as merged,
        pytest.raises(FileFormatError, match=r"events/event_0: get_traces is"),
    ):
        merged.read(0)


def test_a_dataset_that_claims_more_rows_than_there_are_channels_takes_no_memory(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.create_dataset("events/event_0/get_traces", shape=(2**40, 517), dtype="i2", chunks=(16, 517))
    with MergedFile(tmp_path / "f.h5") as merged, pytest.raises(FileFormatError, match="at most"):
        merged.read(0)


@pytest.mark.parametrize("name", ["id", "timestamp"])
def test_an_event_without_id_or_time_is_refused(tmp_path: Path, name: str) -> None:
    write_1_0(tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        del file["events/event_1/get_traces"].attrs[name]
    with MergedFile(tmp_path / "f.h5") as merged:
        assert merged.read(0).id == 100
        with pytest.raises(FileFormatError, match=f"no attribute {name}"):
            merged.read(1)


def test_a_legacy_header_that_is_missing_or_no_number_is_refused(tmp_path: Path) -> None:
    write_legacy(tmp_path / "f.h5")
    with h5py.File(tmp_path / "f.h5", "r+") as file:
        del file["get/evt0_header"]
        file["get/evt1_header"][0] = np.nan
    with MergedFile(tmp_path / "f.h5") as merged:
        for n in (0, 1):
            with pytest.raises(FileFormatError, match=f"evt{n}_header"):
                merged.read(n)
        assert merged.read(2).id == 102


def test_a_file_of_any_damaged_bytes_raises_nothing_but_a_format_error(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    write_1_0(path)
    good = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(150):
        data = bytearray(good)
        for place in rng.integers(0, len(data), 40):
            data[place] = rng.integers(256)
        for place in rng.integers(0, 2048, 4):  # where the structure begins
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            with MergedFile(path) as file:
                for n in file.numbers:
                    file.read(n)
        except FileFormatError:
            pass
