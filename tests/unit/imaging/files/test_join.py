"""One master over the files of several servers, to which a detector has sent its frames in turn."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.join import join
from std_daq.imaging.files.master_file import write_master
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.requests import RunReport, Verdict
from std_test_kit.image_files import (
    SHAPE,
    START,
    describe,
    image_of,
    metadata_of,
    missing_packets_of,
    modules_of,
    write_image_file,
)

N_SERVERS = 4


def report_of(server: int, ids: range, verdict: Verdict = Verdict.COMPLETE, **fields: Any) -> RunReport:
    values: dict[str, Any] = {"n_requested": len(ids), "n_written": len(ids)}
    return RunReport(
        request_id=f"00000000-0000-4000-8000-{server:012d}",
        verdict=verdict,
        ended_at=START + timedelta(seconds=server),
        **(values | fields),
    )


def write_shares(folder: Path, n_images: int = 12, **of_server: RunReport) -> list[Path]:
    """Write the file of each server: that of server i has the frames i + 1, i + 5, i + 9, ..."""
    shares = [range(1 + server, 1 + n_images, N_SERVERS) for server in range(N_SERVERS)]
    return [
        write_image_file(
            folder / f"run_s{server}.h5",
            ids,
            of_server.get(f"s{server}", report_of(server, ids)),
            request_id=f"00000000-0000-4000-8000-{server:012d}",
        )
        for server, ids in enumerate(shares)
    ]


def test_images_of_all_servers_stand_in_the_order_of_their_frames(tmp_path: Path) -> None:
    report = join(tmp_path / "run.h5", write_shares(tmp_path)[::-1])
    assert (report.verdict, report.reason) == (Verdict.COMPLETE, "")
    assert (report.n_requested, report.n_written, report.n_lost) == (12, 12, 0)
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[layout.IMAGE_ID][:].tolist() == list(range(1, 13))
        assert file[layout.MISSING_PACKETS][:].tolist() == [missing_packets_of(i) for i in range(1, 13)]
        assert np.array_equal(file[layout.PIXELS][:], [image_of(i) for i in range(1, 13)])
        assert file[layout.VERDICT].asstr()[()] == "complete"


def test_the_joined_file_is_sound_also_if_a_server_got_no_image(tmp_path: Path) -> None:
    files = write_shares(tmp_path, n_images=3)
    join(tmp_path / "run.h5", files)
    check = validate(tmp_path / "run.h5")
    assert (check.is_valid, check.n_images, check.problems) == (True, 3, [])


def test_data_files_of_a_servers_master_are_joined_too(tmp_path: Path) -> None:
    ids = [range(1, 12, 4), range(13, 20, 4)]
    files = [
        write_image_file(layout.data_file_path(tmp_path / "a.h5", number), share, report_of(0, share))
        for number, share in enumerate(ids, start=1)
    ]
    whole = range(1, 20, 4)
    write_master(tmp_path / "a.h5", files, report_of(0, whole))
    other = write_image_file(tmp_path / "b.h5", range(2, 20, 4), report_of(1, range(2, 20, 4)))
    third = write_image_file(tmp_path / "c.h5", range(3, 20, 4), report_of(2, range(3, 20, 4)))
    fourth = write_image_file(tmp_path / "d.h5", range(4, 20, 4), report_of(3, range(4, 20, 4)))
    report = join(tmp_path / "run.h5", [tmp_path / "a.h5", other, third, fourth])
    assert report.verdict is Verdict.COMPLETE
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[layout.IMAGE_ID][:].tolist() == list(range(1, 20))
        assert [bytes(name) for name in file[layout.DATA_FILES][:]][:2] == [b"a_data_000001.h5", b"a_data_000002.h5"]


def test_clocks_of_servers_that_differ_by_seconds_do_not_change_the_order(tmp_path: Path) -> None:
    files = []
    for server in range(2):
        ids, description = range(1 + server, 9, 2), describe(request_id=f"00000000-0000-4000-8000-{server:012d}")
        path = tmp_path / f"s{server}.h5"
        with ImageFile.create(path, description, clock=lambda: START) as file:
            file.add_calibration(0, {})
            for i in ids:
                at_ns = 10**9 * i + server * 5 * 10**9
                file.append(image_of(i), metadata_of(i, first_arrival_ns=at_ns), modules_of(i))
            file.finish(report_of(server, ids))
        files.append(path)
    join(tmp_path / "run.h5", files)
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[layout.IMAGE_ID][:].tolist() == list(range(1, 9))


def test_the_worst_verdict_counts_and_its_server_is_named(tmp_path: Path) -> None:
    ids = range(2, 13, 4)
    bad = report_of(1, ids, Verdict.INCOMPLETE, reason="1 image lost", n_lost=1, lost_image_ids=(14,), n_requested=4)
    report = join(tmp_path / "run.h5", write_shares(tmp_path, s1=bad))
    assert report.verdict is Verdict.INCOMPLETE
    assert report.reason == "run_s1.h5: 1 image lost"
    assert (report.n_requested, report.n_lost, report.lost_image_ids) == (13, 1, (14,))


def test_a_share_that_was_recovered_leaves_the_number_of_lost_images_unknown(tmp_path: Path) -> None:
    files = write_shares(tmp_path)
    files[1].unlink()
    write_image_file(files[1], range(2, 13, N_SERVERS), request_id=report_of(1, range(0)).request_id)
    recover(files[1])
    assert join(tmp_path / "run.h5", files).verdict is Verdict.FAILED
    with h5py.File(tmp_path / "run.h5") as file:
        assert file[layout.N_LOST][()] == layout.UNKNOWN_COUNT


def test_a_forgotten_server_is_noticed(tmp_path: Path) -> None:
    files = write_shares(tmp_path)
    report = join(tmp_path / "run.h5", [*files[:2], files[3]])
    assert (report.verdict, report.n_written, report.n_lost) == (Verdict.INCOMPLETE, 9, 3)
    assert "3 frames in between are in none of the files" in report.reason


def test_servers_that_begin_and_end_at_different_frames_have_lost_nothing(tmp_path: Path) -> None:
    shares = [range(5, 22, 4), range(2, 19, 4), range(3, 20, 4), range(4, 21, 4)]
    files = [
        write_image_file(tmp_path / f"s{server}.h5", ids, report_of(server, ids)) for server, ids in enumerate(shares)
    ]
    report = join(tmp_path / "run.h5", files)
    assert (report.verdict, report.n_written, report.n_lost) == (Verdict.COMPLETE, 20, 0)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    files = write_shares(tmp_path)
    other = write_image_file(tmp_path / "other.h5", range(20, 24), report_of(0, range(4)), detector_name="EG")
    small = write_image_file(tmp_path / "small.h5", [], report_of(0, range(0)), shape=(SHAPE[0], SHAPE[1] + 8))
    same = write_image_file(tmp_path / "same.h5", range(1, 3), report_of(0, range(2)))
    unfinished = write_image_file(tmp_path / "unfinished.h5", range(30, 33))
    (tmp_path / "below").mkdir()
    below = write_image_file(tmp_path / "below" / "a.h5", range(30, 33), report_of(0, range(3)))
    for more, message in [
        (files[0], "given twice"),
        (other, "images of EG"),
        (small, "another shape"),
        (same, "frame 1 is also in"),
        (unfinished, "std-daq recover"),
        (below, "must be in the folder"),
    ]:
        with pytest.raises(FileFormatError, match=message):
            join(tmp_path / "run.h5", [*files, more])
        assert not (tmp_path / "run.h5").exists()


def test_a_master_that_exists_is_left_as_it_is(tmp_path: Path) -> None:
    files = write_shares(tmp_path)
    (tmp_path / "run.h5").write_text("mine")
    with pytest.raises(FileExistsError):
        join(tmp_path / "run.h5", files)
    assert (tmp_path / "run.h5").read_text() == "mine"
