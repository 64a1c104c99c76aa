import os
from pathlib import Path
from typing import Any

import pytest

from std_daq.errors import RequestRefusedError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.files.layout import data_file_path
from std_daq.recording.requests import WriteRequest
from std_writer_agent.admission import MAX_NAME_BYTES, Admission

IMAGE_BYTES = 1_000_000
FREE_BYTES = 5_000_000_000


def make_admission(free_bytes: int = FREE_BYTES, writer_user_id: int | None = None, **writer: Any) -> Admission:
    config = parse_config(
        {
            "detector_name": "det",
            "detector_type": "eiger",
            "n_modules": 1,
            "bit_depth": 16,
            "image_pixel_height": 256,
            "image_pixel_width": 514,
            "start_udp_port": 50000,
            "module_positions": {0: (0, 0, 513, 255)},
            "writer_user_id": writer_user_id,
            "writer": writer,
        }
    )
    return Admission(config, IMAGE_BYTES, free_bytes=lambda path: free_bytes)


def admit(path: Path | str, admission: Admission | None = None, taken: set[str] | None = None, **fields: Any) -> str:
    return (admission or make_admission()).admit(WriteRequest(output_file=str(path), **fields), taken or set())


def refusal(path: Path | str, admission: Admission | None = None, taken: set[str] | None = None, **fields: Any) -> str:
    with pytest.raises(RequestRefusedError) as caught:
        admit(path, admission, taken, **fields)
    return str(caught.value)


def test_path_is_admitted_as_it_is(tmp_path: Path) -> None:
    assert admit(tmp_path / "run.h5", n_images=10) == str(tmp_path / "run.h5")


def test_missing_folders_are_left_to_the_writer(tmp_path: Path) -> None:
    assert admit(tmp_path / "a" / "b" / "run.h5") == str(tmp_path / "a" / "b" / "run.h5")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("run.h5", "must be an absolute path"),
        ("./run.h5", "must be an absolute path"),
        ("/data/../etc/run.h5", "must not contain '..'"),
        ("/", "is a folder"),
        ("/tmp/", "is a folder"),
        ("/tmp/x/.", "is a folder"),
        (f"/tmp/{'x' * (MAX_NAME_BYTES + 1)}.h5", "bytes; the limit is 240"),
        (f"/tmp/{'é' * MAX_NAME_BYTES}", "bytes; the limit is 240"),
    ],
)
def test_path_that_cannot_be_a_file_is_refused(path: str, reason: str) -> None:
    assert reason in refusal(path)


def test_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "is not a folder" in refusal(tmp_path / "file" / "run.h5")


def test_path_outside_of_the_roots_is_refused(tmp_path: Path) -> None:
    admission = make_admission(output_roots=[str(tmp_path / "in")])
    (tmp_path / "in").mkdir()
    assert admit(tmp_path / "in" / "run.h5", admission)
    assert "outside the allowed folders" in refusal(tmp_path / "run.h5", admission)
    assert "outside the allowed folders" in refusal(tmp_path / "inside.h5", admission)


def test_link_out_of_the_roots_is_refused_and_one_within_is_not(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "door").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "short").symlink_to(tmp_path / "in" / "deep")
    (tmp_path / "in" / "nowhere").symlink_to(tmp_path / "out" / "missing")
    admission = make_admission(output_roots=[str(tmp_path / "in")])
    assert admit(tmp_path / "in" / "short" / "run.h5", admission)
    assert f"lies in {tmp_path}/out" in refusal(tmp_path / "in" / "door" / "run.h5", admission)
    assert f"lies in {tmp_path}/out" in refusal(tmp_path / "in" / "door" / "new" / "run.h5", admission)
    assert "outside the allowed folders" in refusal(tmp_path / "in" / "nowhere" / "run.h5", admission)


def test_existing_file_is_refused_also_as_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "run.h5").touch()
    (tmp_path / "link.h5").symlink_to(tmp_path / "nothing")
    assert "exists" in refusal(tmp_path / "run.h5")
    assert "exists" in refusal(tmp_path / "link.h5")


def test_file_of_another_request_is_refused(tmp_path: Path) -> None:
    assert "belongs to a request that has not ended" in refusal(tmp_path / "run.h5", taken={str(tmp_path / "run.h5")})


def test_renamed_file_has_the_first_free_number(tmp_path: Path) -> None:
    (tmp_path / "run.h5").touch()
    (tmp_path / "run_0001.h5").touch()
    taken = {str(tmp_path / "run_0002.h5")}
    assert admit(tmp_path / "run.h5", taken=taken, conflict="rename") == str(tmp_path / "run_0003.h5")
    assert admit(tmp_path / "new.h5", conflict="rename") == str(tmp_path / "new.h5")


def test_data_files_of_an_earlier_run_are_in_the_way_of_several_files_only(tmp_path: Path) -> None:
    data_file_path(tmp_path / "run.h5", 3).touch()
    assert "exists" in refusal(tmp_path / "run.h5", n_images=10, n_files=2)
    assert admit(tmp_path / "run.h5", n_images=10)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "has no permission to write to the folder" in refusal(tmp_path / "closed" / "run.h5")


def test_permission_is_left_to_a_writer_with_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "has no permission to write to the folder" in refusal(tmp_path / "run.h5")
    assert admit(tmp_path / "run.h5", make_admission(writer_user_id=os.geteuid() + 1))


def test_disk_must_hold_the_images_and_the_reserve(tmp_path: Path) -> None:
    admission = make_admission(min_free_gb=1.0)
    assert admit(tmp_path / "run.h5", admission, n_images=4000)
    assert "5.000 GB free, the run needs 5.001 GB" in refusal(tmp_path / "run.h5", admission, n_images=4001)
    assert admit(tmp_path / "run.h5", admission, n_images=4001, compression="bslz4")
    assert "the run needs" in refusal(tmp_path / "run.h5", make_admission(free_bytes=10**8, min_free_gb=1.0))


def test_number_of_files_needs_a_number_of_images(tmp_path: Path) -> None:
    assert "give images_per_file instead" in refusal(tmp_path / "run.h5", n_files=3)
