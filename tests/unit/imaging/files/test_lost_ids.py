"""Lost images that a report names are named in the recovered file, too."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from std_daq.cli.__main__ import main
from std_daq.client.run_group import GroupReport
from std_daq.imaging.files import layout
from std_daq.imaging.files.image_file import ImageFile
from std_daq.imaging.files.layout import data_file_path
from std_daq.imaging.files.recover import recover
from std_daq.imaging.files.validate import validate
from std_daq.recording.journal_copy import journal_path
from std_daq.recording.requests import RunReport, Verdict
from std_test_kit.image_files import REQUEST_ID, append_images, describe, report_of
from std_writer_agent.journal import RequestJournal

# The agent thinks that images 3 and 4 are lost: they were not reported as flushed.
REPORT = report_of(Verdict.FAILED, n_lost=5, lost_image_ids=(3, 4, 7, 11), n_requested=20)


def unfinished(path: Path, ids: range) -> Path:
    """Make a file as a writer leaves it that is killed after a flush."""
    description = describe(n_requested=20)
    with ImageFile.create(path, description) as file:
        append_images(file, ids, description)
    return path


def lost_in(path: Path) -> tuple[list[int], int]:
    with h5py.File(path) as file:
        return file[layout.LOST_IMAGE_IDS][:].tolist(), int(file[layout.N_LOST][()])


def sound(path: Path) -> bool:
    return not [problem.text for problem in validate(path).problems if "checksum" in problem.text]


def test_file_names_the_lost_images_that_it_does_not_have(tmp_path: Path) -> None:
    path = unfinished(tmp_path / "run.h5", range(5))
    [recovery] = recover(path, find_report=lambda _: REPORT)
    assert recovery.actions[-1] == "2 of 3 lost images named"
    assert lost_in(path) == ([7, 11], 3)
    assert sound(path)
    [again] = recover(path, find_report=lambda _: REPORT)
    assert again.actions == ()


def test_file_that_was_recovered_before_gets_the_ids_later(tmp_path: Path) -> None:
    path = unfinished(tmp_path / "run.h5", range(5))
    recover(path)
    assert lost_in(path) == ([], layout.UNKNOWN_COUNT)
    recover(path, find_report=lambda _: REPORT)
    assert lost_in(path) == ([7, 11], 3)
    assert sound(path)


def test_master_names_what_no_data_file_has(tmp_path: Path) -> None:
    first = unfinished(data_file_path(tmp_path / "run.h5", 1), range(3))
    unfinished(data_file_path(tmp_path / "run.h5", 2), range(3, 5))
    recover(tmp_path / "run.h5", find_report=lambda _: REPORT)
    assert lost_in(first)[0] == [3, 4, 7, 11]
    assert lost_in(tmp_path / "run.h5") == ([7, 11], 3)
    assert sound(tmp_path / "run.h5")


Arguments = Callable[[Path, RunReport], list[str]]


def by_report(folder: Path, report: RunReport) -> list[str]:
    (folder / "report.json").write_text(report.model_dump_json())
    return ["--report", str(folder / "report.json")]


def by_report_of_several_detectors(folder: Path, report: RunReport) -> list[str]:
    other = report.model_copy(update={"request_id": "00000000-0000-0000-0000-000000000000", "lost_image_ids": (8,)})
    group = GroupReport.of_reports({"EG-other": other, "EG-lost": report})
    (folder / "report.json").write_text(json.dumps(group.to_json()))
    return ["--report", str(folder / "report.json")]


def by_journal(folder: Path, report: RunReport) -> list[str]:
    config = {
        "detector_name": "EG-lost",
        "detector_type": "eiger",
        "n_modules": 1,
        "bit_depth": 16,
        "image_pixel_height": 256,
        "image_pixel_width": 514,
        "start_udp_port": 50000,
        "module_positions": {"0": [0, 0, 513, 255]},
        "writer": {"journal": str(folder / "journal.sqlite")},
    }
    (folder / "detector.json").write_text(json.dumps(config))
    from std_daq.imaging.config.load import load_config

    journal = RequestJournal(journal_path(load_config(folder / "detector.json")))
    journal.add(REQUEST_ID, b"{}", str(folder / "run.h5"))
    journal.end(REQUEST_ID, report)
    journal.close()
    return ["--config", str(folder / "detector.json")]


@pytest.mark.parametrize("source", [by_report, by_report_of_several_detectors, by_journal])
def test_command_takes_the_report_from_a_file_or_from_the_journal(
    tmp_path: Path, source: Arguments, capsys: pytest.CaptureFixture[str]
) -> None:
    path = unfinished(tmp_path / "run.h5", range(5))
    assert main(["recover", str(path), *source(tmp_path, REPORT)]) == 0
    assert "2 of 3 lost images named" in capsys.readouterr().out
    assert lost_in(path) == ([7, 11], 3)


def test_report_of_another_run_and_what_is_none_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = unfinished(tmp_path / "run.h5", range(5))
    other = REPORT.model_copy(update={"request_id": "00000000-0000-0000-0000-000000000000"})
    assert main(["recover", str(path), *by_report(tmp_path, other)]) == 1
    assert "the report is of the request 00000000" in capsys.readouterr().err
    for text in ("[]", '{"detectors": {}}', '{"detectors": [1]}', "[" * 100_000):
        (tmp_path / "report.json").write_text(text)
        assert main(["recover", str(path), "--report", str(tmp_path / "report.json")]) == 2
    assert main(["recover", str(path), "--report", str(tmp_path / "none.json")]) == 2
