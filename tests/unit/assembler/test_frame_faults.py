"""Images whose modules show several exposures, or of whose packets some were refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from std_daq.imaging.protocols.image_metadata import ImageStatus
from tests.unit.assembler.test_assembler import Line, eiger, raw_frames


@pytest.fixture(params=[["0-3"], ["0-1", "2-3"], ["0-0", "1-3"]], ids=["one receiver", "two", "two of other sizes"])
def line(shm_dir: Path, runtime: Path, request: pytest.FixtureRequest) -> Iterator[Line]:
    opened = Line(eiger(shm_dir, udp={"receivers": request.param}))
    yield opened
    opened.close()


def publish(line: Line, number: int, pulse_ids: dict[int, int], refused: tuple[int, ...] = ()) -> None:
    for feeder in line.feeders:
        feeder.publish(number, raw_frames(number), pulse_ids=pulse_ids, refused=refused)


def modules_at_fault(line: Line, sequence: int) -> dict[ImageStatus, list[int]]:
    image = line.images.view(sequence)
    assert image is not None
    return image.modules_at_fault()


@pytest.mark.parametrize("odd", [0, 1, 2, 3])
def test_module_of_another_pulse_is_out_of_step_and_the_image_has_the_pulse_of_the_others(line: Line, odd: int) -> None:
    publish(line, 1, dict.fromkeys(range(4), 70))
    publish(line, 2, dict.fromkeys(range(4), 71) | {odd: 72})
    entries = line.step_until(2)
    assert entries["status"].tolist() == [0, ImageStatus.OUT_OF_STEP]
    assert entries["pulse_id"].tolist() == [70, 71]
    assert modules_at_fault(line, 1) == {ImageStatus.OUT_OF_STEP: [odd]}


def test_modules_without_pulse_id_are_in_step_with_all(line: Line) -> None:
    publish(line, 1, {0: 70, 3: 70})
    publish(line, 2, {2: 70})
    publish(line, 3, {1: 70, 2: 71})
    assert line.step_until(3)["status"].tolist() == [0, 0, ImageStatus.OUT_OF_STEP]


@pytest.mark.parametrize("module", [0, 1, 2, 3])
def test_frame_with_refused_packets_marks_its_image_and_no_other(line: Line, module: int) -> None:
    publish(line, 1, {})
    publish(line, 2, {}, refused=(module,))
    publish(line, 3, {})
    assert line.step_until(3)["status"].tolist() == [0, ImageStatus.REFUSED_PACKETS, 0]
    assert modules_at_fault(line, 1) == {ImageStatus.REFUSED_PACKETS: [module]}


def test_module_that_is_missing_because_its_packets_were_refused_is_named(shm_dir: Path, runtime: Path) -> None:
    line = Line(eiger(shm_dir))
    line.feeders[0].publish(1, raw_frames(1), absent={2}, refused_all={2})
    entries = line.step_until(1)
    assert entries["status"][0] == 1 | ImageStatus.MISSING_MODULES | ImageStatus.REFUSED_PACKETS
    assert modules_at_fault(line, 0) == {
        ImageStatus.MISSING_PACKETS: [],
        ImageStatus.MISSING_MODULES: [2],
        ImageStatus.REFUSED_PACKETS: [2],
    }
    line.close()


@pytest.mark.parametrize(("absent", "named"), [({2}, [2]), ({1, 2}, [])])
def test_module_that_counts_differently_is_named_if_no_other_is_missing(
    shm_dir: Path, runtime: Path, absent: set[int], named: list[int]
) -> None:
    line = Line(eiger(shm_dir))
    line.feeders[0].publish(1, raw_frames(1), absent=absent, is_renumbered=True)
    entries = line.step_until(1)
    assert entries["status"][0] & ImageStatus.RENUMBERED
    faults = modules_at_fault(line, 0)
    assert faults[ImageStatus.MISSING_MODULES] == sorted(absent)
    assert faults[ImageStatus.RENUMBERED] == named
    line.close()
