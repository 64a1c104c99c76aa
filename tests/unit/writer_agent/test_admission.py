import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from std_daq.errors import RequestRefusedError
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.files.layout import data_file_path
from std_daq.imaging.files.names import RunNames
from std_daq.recording.config import WriterConfig
from std_daq.recording.requests import WriteRequest
from std_test_kit.small_disk import SmallDisk
from std_test_kit.telescope_boards import telescope_config
from std_writer_agent.admission import Admission
from std_writer_agent.image_rules import ImageRules

IMAGE_BYTES = 1_000_000
FREE_BYTES = 5_000_000_000
NOBODY = 65534


def make_admission(
    free_bytes: int = FREE_BYTES,
    writer_user_id: int | None = None,
    nexus: dict[str, Any] | None = None,
    **writer: Any,
) -> Admission:
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
            "nexus": nexus or {},
        }
    )
    return Admission(config, ImageRules(config.nexus, IMAGE_BYTES), free_bytes=lambda path: free_bytes)


def admit(path: Path | str, admission: Admission | None = None, taken: Collection[RunNames] = (), **fields: Any) -> str:
    request = WriteRequest.model_construct(output_file=str(path), **fields)  # also what the model would refuse
    return (admission or make_admission()).admit(request, taken)


def refusal(
    path: Path | str, admission: Admission | None = None, taken: Collection[RunNames] = (), **fields: Any
) -> str:
    with pytest.raises(RequestRefusedError) as caught:
        admit(path, admission, taken, **fields)
    return str(caught.value)


def test_format_that_the_detector_does_not_have_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "run.json", format="pff") == "format pff: this detector writes hdf5"


def test_pff_is_one_file_for_the_agent_however_many_images_a_file_has(tmp_path: Path) -> None:
    config = telescope_config("ph256").model_copy(update={"writer": WriterConfig(max_data_files=1)})
    admission = Admission(config, ImageRules(config.nexus, IMAGE_BYTES, ("hdf5", "pff")), free_bytes=lambda _: 10**12)
    path = tmp_path / "run.json"
    assert admit(path, admission, format="pff", n_images=100, images_per_file=1) == str(path)


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
        ("/tmp/a\0b", r"contains the character '\x00'"),
        ("/tmp/\udcff\ud800", "contains the character"),
        ("/no/" + "x/" * 30_000, "the path has 60003 bytes"),
        (f"/tmp/{'x' * 236}.h5", "its name has 239 bytes; the limit is 238, because an unfinished file has longer"),
        (f"/tmp/{'é' * 120}", "its name has 240 bytes; the limit is 238"),
        (f"/tmp/{'x' * 256}/run.h5", "a folder in the path has 256 bytes; the limit is 255"),
        ("/tmp/" + 816 * "long/" + "run.h5", "the path has 4091 bytes; the limit is 4078"),
        ("/tmp/run.h5\n", r"contains the character '\n'"),
        ("/tmp/\x1b[31mrun.h5", r"contains the character '\x1b'"),
        ("/tmp/a\u2028b.h5", r"contains the character '\u2028'"),
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
    assert "belongs to a request that has not ended" in refusal(
        tmp_path / "run.h5", taken=[RunNames(tmp_path / "run.h5", False)]
    )


def test_file_that_another_system_has_claimed_is_refused_or_renamed(tmp_path: Path) -> None:
    admission = make_admission()
    admission._find_claimant = lambda file: "camera-2" if file == tmp_path / "run.h5" else ""
    assert refusal(tmp_path / "run.h5", admission) == (
        f"{tmp_path}/run.h5 belongs to a request of camera-2 that has not ended; give another name"
    )
    assert admit(tmp_path / "run.h5", admission, conflict="rename") == str(tmp_path / "run_0001.h5")


def test_renamed_file_has_the_first_free_number(tmp_path: Path) -> None:
    (tmp_path / "run.h5").touch()
    (tmp_path / "run_0001.h5").touch()
    taken = [RunNames(tmp_path / "run_0002.h5", False)]
    assert admit(tmp_path / "run.h5", taken=taken, conflict="rename") == str(tmp_path / "run_0003.h5")
    assert admit(tmp_path / "new.h5", conflict="rename") == str(tmp_path / "new.h5")


@pytest.mark.parametrize(
    "name", ["-rf.h5", "a b .h5 ", "50%.h5", "%s", "run", ".h5", "RUN.H5", "run.", "Übung.h5", "~.h5"]
)
def test_names_that_are_unusual_are_admitted(tmp_path: Path, name: str) -> None:
    assert admit(tmp_path / name, n_images=10, n_files=2) == str(tmp_path / name)


def test_the_longest_admitted_names_can_be_made_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    for fields, n_bytes in (({}, 238), ({"n_images": 2, "n_files": 2}, 226)):
        path = tmp_path / f"{'x' * (n_bytes - 3)}.h5"
        assert admit(path, **fields) == str(path)
        data_file = data_file_path(path, 1) if fields else path
        data_file.with_name(f".{data_file.name}.k3x7q2a.partial").touch()
        assert f"the limit is {n_bytes}" in refusal(path.with_name(f"x{path.name}"), **fields)


def test_a_name_that_is_too_long_with_its_number_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{'x' * 235}.h5"
    path.touch()
    assert "its name has 243 bytes" in refusal(path, conflict="rename")


def test_a_folder_that_allows_only_shorter_names_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pathconf", lambda folder, name: 143)  # as in an encrypted folder
    assert "its name has 130 bytes; the limit is 126" in refusal(tmp_path / f"{'x' * 127}.h5")


def test_more_data_files_than_readers_can_open_are_refused(tmp_path: Path) -> None:
    assert "1100 data files are more than writer.max_data_files, 900" in refusal(
        tmp_path / "run.h5", n_images=1100, images_per_file=1
    )
    assert admit(tmp_path / "run.h5", n_images=900, images_per_file=1)
    assert admit(tmp_path / "run.h5", make_admission(max_data_files=1100), n_images=1100, images_per_file=1)


def test_names_that_another_unfinished_request_will_use_are_refused(tmp_path: Path) -> None:
    data_file = data_file_path(tmp_path / "run.h5", 3)
    several, single = RunNames(tmp_path / "run.h5", True), RunNames(data_file, False)
    assert "collides with the files of" in refusal(data_file, taken=[several])
    assert "collides with the files of" in refusal(tmp_path / "run.h5", taken=[single], n_images=4, n_files=2)
    assert admit(tmp_path / "run.h5", taken=[single])
    assert admit(tmp_path / "run_data_3.h5", taken=[several])
    renamed = admit(data_file, taken=[several], conflict="rename")
    assert renamed == str(tmp_path / "run_data_000003_0001.h5")


def test_names_that_differ_only_in_case_are_admitted_where_the_folder_tells_them_apart(tmp_path: Path) -> None:
    assert admit(tmp_path / "RUN.h5", taken=[RunNames(tmp_path / "run.h5", False)])


def test_a_disk_without_room_for_the_files_is_refused(mount_folder: Path) -> None:
    SmallDisk.in_memory(mount_folder, 64 << 20, n_files=8)
    admission = make_admission(min_free_gb=0)
    assert admit(mount_folder / "run.h5", admission, n_images=12, n_files=6)
    assert "room for 7 further files (inodes), the run needs 8" in refusal(
        mount_folder / "run.h5", admission, n_images=14, n_files=7
    )


def test_data_files_of_an_earlier_run_are_in_the_way_of_several_files_only(tmp_path: Path) -> None:
    data_file_path(tmp_path / "run.h5", 3).touch()
    assert "exists" in refusal(tmp_path / "run.h5", n_images=10, n_files=2)
    assert admit(tmp_path / "run.h5", n_images=10)


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder, while this process has the rights of a user who owns nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "closed").mkdir(mode=0o700)
        (folder / "read-only").mkdir(mode=0o755)
        if os.geteuid() == 0:
            os.setresuid(NOBODY, NOBODY, 0)
        else:
            (folder / "closed").chmod(0)
            (folder / "read-only").chmod(0o555)
        try:
            yield folder
        finally:
            if os.getresuid()[2] == 0:
                os.setresuid(0, 0, 0)
            (folder / "closed").chmod(0o700)


@pytest.mark.parametrize("name", ["closed/run.h5", "closed/sub/run.h5", "read-only/run.h5", "read-only/a/b/run.h5"])
@pytest.mark.parametrize("fields", [{}, {"n_images": 5, "n_files": 2}, {"conflict": "rename"}], ids=str)
def test_folder_that_may_not_be_entered_or_written_is_refused_and_named(
    as_nobody: Path, name: str, fields: dict[str, Any]
) -> None:
    told = refusal(as_nobody / name, **fields)
    assert str(as_nobody / name.split("/")[0]) in told
    assert "permission" in told.lower()


def test_folder_that_only_the_owner_of_the_files_may_enter_is_left_to_the_writer(as_nobody: Path) -> None:
    admission = make_admission(writer_user_id=os.geteuid() + 1)
    assert admit(as_nobody / "closed" / "run.h5", admission)
    assert admit(as_nobody / "closed" / "sub" / "run.h5", admission, n_images=5, n_files=2)


def test_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert refusal(tmp_path / "a" / "run.h5")
    assert refusal(tmp_path / "a")


def test_permission_is_left_to_a_writer_with_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "has no permission to write to the folder" in refusal(tmp_path / "run.h5")
    assert admit(tmp_path / "run.h5", make_admission(writer_user_id=os.geteuid() + 1))


def test_request_may_name_a_user_that_the_configuration_allows(as_nobody: Path) -> None:
    assert "writer.users of the configuration names none" in refusal(as_nobody / "run.h5", user=12345)
    admission = make_admission(users=[12345, "daemon"])
    assert "12346 is not in writer.users" in refusal(as_nobody / "run.h5", admission, user=12346)
    assert admit(as_nobody / "closed" / "run.h5", admission, user=12345)
    assert admit(as_nobody / "closed" / "run.h5", admission, user="daemon")
    assert "permission" in refusal(as_nobody / "closed" / "run.h5", admission).lower()


def test_disk_must_hold_the_images_and_the_reserve(tmp_path: Path) -> None:
    admission = make_admission(min_free_gb=1.0)
    assert admit(tmp_path / "run.h5", admission, n_images=4000)
    assert "5.000 GB free, the run needs 5.001 GB" in refusal(tmp_path / "run.h5", admission, n_images=4001)
    assert admit(tmp_path / "run.h5", admission, n_images=4001, compression="bslz4")
    assert "the run needs" in refusal(tmp_path / "run.h5", make_admission(free_bytes=10**8, min_free_gb=1.0))


def test_number_of_files_needs_a_number_of_images(tmp_path: Path) -> None:
    assert "give images_per_file instead" in refusal(tmp_path / "run.h5", n_files=3)


def test_experiment_is_checked_before_anything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    assert "key 'experiment.distance_m'" in refusal(path, experiment={"distance_m": 0})
    assert "did you mean 'distance_m'" in refusal(path, experiment={"distance": 0.1})
    axis: dict[str, Any] = {"name": "omega", "vector": [1, 0, 0], "values_deg": [0.0, 0.1, 0.3]}
    assert admit(path, n_images=3, experiment={"goniometer": [axis]}) == str(path)
    text = refusal(path, n_images=4, experiment={"goniometer": [axis]})
    assert "axis omega has 3 values, one for each image, but n_images is 4" in text
    assert "n_images is not given" in refusal(path, experiment={"goniometer": [axis]})


def test_experiment_has_to_fit_to_the_configuration(tmp_path: Path) -> None:
    admission = make_admission(nexus={"frame_time_s": 0.01})
    assert admit(tmp_path / "a.h5", admission, experiment={"count_time_s": 0.01})
    text = refusal(tmp_path / "a.h5", admission, experiment={"count_time_s": 0.02})
    assert "section nexus of the configuration: count_time_s 0.02 is longer than frame_time_s 0.01" in text


def test_number_in_a_name_counts_up_from_the_files_that_are_there(tmp_path: Path) -> None:
    pattern = tmp_path / "run_{number:04}.h5"
    assert admit(pattern) == str(tmp_path / "run_0001.h5")
    for name in ("run_0003.h5", "run_7.h5x", "run_12.txt", "other_0100.h5", "run_0005_data_000001.h5", "run_x.h5"):
        (tmp_path / name).touch()
    assert admit(pattern) == str(tmp_path / "run_0006.h5"), "after the data file of a run whose master is missing"
    (tmp_path / "run_10000.h5").touch()
    assert admit(pattern) == str(tmp_path / "run_10001.h5"), "more digits than asked for"


def test_numbers_of_requests_that_have_not_ended_are_taken(tmp_path: Path) -> None:
    pattern = tmp_path / "run_{number}.h5"
    taken: list[RunNames] = []
    for number in range(1, 5):
        path = Path(admit(pattern, taken=taken))
        assert path == tmp_path / f"run_{number}.h5"
        taken.append(RunNames(path, has_data_files=False))


def test_number_of_a_folder_that_is_not_there_begins_at_one(tmp_path: Path) -> None:
    assert admit(tmp_path / "today" / "run_{number:02}.h5") == str(tmp_path / "today" / "run_01.h5")


@pytest.mark.parametrize(
    "name",
    ["{number}/run.h5", "run_{number}_{number}.h5", "run_{number:4}.h5", "run_{number:x}.h5", "run_{number:013}.h5"],
)
def test_number_that_cannot_be_counted_is_refused(tmp_path: Path, name: str) -> None:
    assert "a path may have one number, in the name of the file" in refusal(tmp_path / name)


def test_name_with_other_braces_is_a_name(tmp_path: Path) -> None:
    assert admit(tmp_path / "run_{n}.h5") == str(tmp_path / "run_{n}.h5")


def test_name_that_its_number_makes_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / f"{'x' * 235}9999.h5").touch()
    assert "the limit is 238" in refusal(tmp_path / ("x" * 235 + "{number:04}.h5"))
