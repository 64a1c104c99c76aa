"""Whatever is wrong with a file is found and named."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from std_daq.checksums import checksum_of
from std_daq.imaging.files import layout
from std_daq.imaging.files.checksums import metadata_checksums
from std_daq.imaging.files.contents import read_columns
from std_daq.imaging.files.description import NexusMetadata
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import Verdict
from std_test_kit.image_files import append_images, describe, report_of, write_image_file

GOOD_IDS = (1, 2, 3, 5, 6, 7, 8)  # none of them lacks packets


def errors_of(path: Path) -> str:
    report = validate(path)
    assert not report.is_valid
    return "\n".join(problem.text for problem in report.problems if problem.severity == "error")


def vouch_for_metadata(file: h5py.File) -> None:
    """Write the checksums of metadata that a test has changed, as if they had been written so."""
    file[layout.METADATA_CHECKSUM][:] = metadata_checksums(read_columns(file))


def test_a_complete_file_has_no_problems(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of(n_requested=7, n_written=7))
    report = validate(path)
    assert report.is_valid
    assert report.problems == []
    assert (report.n_images, report.n_images_read, report.verdict, report.n_requested) == (7, 7, "complete", 7)
    assert (report.image_ids.first, report.image_ids.last) == (1, 8)
    assert report.status_counts["good"] == 7


def test_an_incomplete_run_that_says_so_is_valid_with_a_warning(tmp_path: Path) -> None:
    path = write_image_file(
        tmp_path / "a.h5",
        range(1, 11),
        report_of(Verdict.INCOMPLETE, reason="2 incomplete", n_incomplete=2, n_lost=1, lost_image_ids=(11,)),
        compression="bslz4",
    )
    report = validate(path)
    assert report.is_valid
    assert [problem.text for problem in report.problems] == ["the run ended as incomplete: 2 incomplete"]
    assert report.status_counts == {
        "good": 8, "missing_packets": 2, "id_mismatch": 0, "missing_modules": 0, "overwritten": 0,
        "refused_packets": 0, "out_of_step": 0, "not_calibrated": 0,
        "renumbered": 0,
    }  # fmt: skip
    assert report.missing_packets == [0, 4, 0]
    assert (report.n_incomplete, report.n_lost, report.lost_image_ids) == (2, 1, [11])


def test_the_report_is_json(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of())
    document = json.loads(json.dumps(validate(path).to_json()))
    assert document["is_valid"] is True
    assert document["image_ids"] == {"first": 1, "last": 8, "n_duplicates": 0, "is_ascending": True}


def test_a_sample_of_the_images_is_read_if_asked_for(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of())
    assert validate(path, max_images_read=3).n_images_read == 3


def test_a_run_without_images_is_read(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", [], report_of(Verdict.KILLED))
    assert validate(path).is_valid


def claim_more_rows(file: h5py.File) -> None:
    for name in (layout.PIXELS, *layout.PER_IMAGE):
        file[name].resize(9, axis=0)
    file[layout.N_IMAGES][()] = 9


def repeat_an_image(file: h5py.File) -> None:
    for column in (layout.IMAGE_ID, layout.TIMESTAMP_NS):
        file[column][3] = file[column][0]


def shorten_status(file: h5py.File) -> None:
    file[layout.STATUS].resize((5,))


def hide_a_loss(file: h5py.File) -> None:
    file[layout.MISSING_PACKETS][2, 1] = 5


def miscount(file: h5py.File) -> None:
    file[layout.N_IMAGES][()] = 8


def lose_an_image_that_is_there(file: h5py.File) -> None:
    file[layout.LOST_IMAGE_IDS].resize((1,))
    file[layout.LOST_IMAGE_IDS][0] = 5


def rename_the_definition(file: h5py.File) -> None:
    file[f"{layout.ENTRY}/definition"][()] = b"NXxx"


def drop_the_verdict(file: h5py.File) -> None:
    file[layout.VERDICT][()] = b""


def remove_the_pixels(file: h5py.File) -> None:
    del file[layout.PIXELS]


def test_series_that_each_begin_with_1_are_sound(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of())
    with h5py.File(path, "r+") as file:
        file[layout.IMAGE_ID][4] = file[layout.IMAGE_ID][0]
        vouch_for_metadata(file)
    report = validate(path)
    assert report.is_valid
    assert "1 images have the id of another image" in " ".join(problem.text for problem in report.problems)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (claim_more_rows, "pixels of image 7 (counted from 0) were never written"),
        (repeat_an_image, "1 images have the id and the time of another image"),
        (shorten_status, "status has 5 rows, but there are pixels of 7 images"),
        (hide_a_loss, "1 images lack packets but have the status of a good image"),
        (hide_a_loss, "the verdict is complete, but: 1 image with missing packets (module 1)"),
        (miscount, "says 8 images, but the file has 7"),
        (lose_an_image_that_is_there, "listed as lost but are in the file; the first of them is 5"),
        (rename_the_definition, "is not NXmx"),
        (drop_the_verdict, "no verdict"),
        (remove_the_pixels, "/entry/data/data missing"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage: Callable[[h5py.File], None], text: str) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of())
    with h5py.File(path, "r+") as file:
        damage(file)
    assert text in errors_of(path)


def test_a_chunk_that_cannot_be_decompressed_is_named(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of(), compression="bslz4")
    with h5py.File(path, "r+") as file:
        file[layout.PIXELS].id.write_direct_chunk((2, 0, 0), b"\xff" * 200)
        file[layout.IMAGE_CHECKSUM][2] = checksum_of(b"\xff" * 200)
        vouch_for_metadata(file)
    assert "pixels of image 2 (id 3) cannot be read" in errors_of(path)


def test_ids_that_do_not_ascend_are_a_warning(tmp_path: Path) -> None:
    report = validate(write_image_file(tmp_path / "a.h5", (5, 6, 1), report_of()))
    assert report.is_valid
    assert [problem.text for problem in report.problems] == ["image ids do not ascend"]


def test_nexus_fields_that_readers_need_are_listed(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of(), nexus=NexusMetadata())
    (problem,) = validate(path).problems
    assert problem.severity == "warning"
    assert "incident_wavelength" in problem.text
    assert "x_pixel_size" in problem.text


def test_a_file_that_is_being_written_is_read_as_a_follower_does(tmp_path: Path) -> None:
    description = describe()
    with ImageFile.create(tmp_path / "a.h5", description) as file:
        append_images(file, GOOD_IDS, description)
        file.flush()
        report = validate(tmp_path / "a.h5")
        assert report.n_images == 7
        assert "marked as open" in report.problems[0].text
        assert "std-daq recover" in report.problems[0].remedy


def test_a_file_that_is_cut_off_is_named(tmp_path: Path) -> None:
    path = write_image_file(tmp_path / "a.h5", GOOD_IDS, report_of())
    os.truncate(path, path.stat().st_size - 1)
    assert "cut off" in errors_of(path)


def test_there_is_no_file(tmp_path: Path) -> None:
    assert errors_of(tmp_path / "a.h5") == "no such file"


@pytest.fixture
def master(tmp_path: Path) -> Path:
    output = tmp_path / "run.h5"
    files = [
        write_image_file(layout.data_file_path(output, 1), GOOD_IDS[:4], report_of()),
        write_image_file(layout.data_file_path(output, 2), GOOD_IDS[4:], report_of()),
    ]
    write_master(output, files, report_of())
    return output


def test_a_master_and_its_data_files_are_read(master: Path) -> None:
    report = validate(master)
    assert report.problems == []
    assert report.n_images_read == 7
    assert report.data_files == ["run_data_000001.h5", "run_data_000002.h5"]


def test_a_data_file_that_is_missing_is_an_error_although_hdf5_raises_none(master: Path) -> None:
    layout.data_file_path(master, 2).unlink()
    with h5py.File(master) as file:
        assert (file[layout.PIXELS][6] == 65535).all()
    assert "run_data_000002.h5: missing; the master shows 65535 for its 3 images" in errors_of(master)


def test_a_data_file_that_is_too_short_is_an_error(master: Path) -> None:
    with h5py.File(layout.data_file_path(master, 1), "r+") as file:
        file[layout.PIXELS].resize(2, axis=0)
    assert "run_data_000001.h5: has 2 images, the master shows 4" in errors_of(master)


def test_a_data_file_of_other_images_is_an_error(master: Path) -> None:
    path = layout.data_file_path(master, 1)
    path.unlink()
    write_image_file(path, GOOD_IDS[:4], report_of(), dtype="f4")
    assert "of float32; the master has" in errors_of(master)


def test_a_master_that_is_missing_is_told_from_a_file_that_never_was(master: Path) -> None:
    master.unlink()
    assert "its data files exist" in errors_of(master)


@given(data=st.data())
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_nothing_is_raised_whatever_the_superblock_says(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.h5"
    if not path.exists():
        write_image_file(path, GOOD_IDS, report_of())
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 47))] = data.draw(st.integers(0, 255))
    n_bytes = data.draw(st.sampled_from([len(content), 0, 7, 47, 48, 4096]))
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(content[:n_bytes])
    report = validate(damaged)
    assert report.is_valid == (content[:n_bytes] == path.read_bytes())
