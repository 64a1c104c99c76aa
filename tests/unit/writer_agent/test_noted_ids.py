import numpy as np
import pytest

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.recording.requests import RunReport, Verdict
from std_writer_agent.noted_ids import NotedIds


def entries(*images: tuple[int, int]) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    made = np.zeros(len(images), IMAGE_METADATA)
    made["id"], made["status"] = zip(*images, strict=True)
    return made


def test_first_last_and_those_that_are_not_good_are_noted() -> None:
    noted = NotedIds()
    noted.feed(entries((5, 0), (6, 1)))
    noted.feed(np.zeros(0, IMAGE_METADATA))
    noted.feed(entries((8, 4), (9, 0)))
    assert (noted.first, noted.last, noted.incomplete, noted.n_incomplete) == (5, 9, [6, 8], 2)


def test_number_of_ids_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("std_writer_agent.noted_ids.MAX_NAMED", 3)
    noted = NotedIds()
    for image in range(5):
        noted.feed(entries((image, 1)))
    assert (noted.incomplete, noted.n_more, noted.n_incomplete) == ([0, 1, 2], 2, 5)


def test_report_of_an_earlier_process_is_taken_over() -> None:
    report = RunReport(
        request_id="a", verdict=Verdict.FAILED, incomplete_image_ids=(3, 4), first_image_id=1, last_image_id=9
    )
    noted = NotedIds.of_report(RunReport.from_wire(report.to_wire()))
    assert (noted.first, noted.last, noted.incomplete) == (1, 9, [3, 4])
    assert NotedIds.of_report(None).first is None
