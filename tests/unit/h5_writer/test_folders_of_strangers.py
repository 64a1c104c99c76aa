"""What somebody who may write to the folders of the data can do to the writer."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_daq.imaging.files import layout
from std_daq.recording.store_stream import ReportKind


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a run, in an allowed root, and a folder outside."""
    run, outside = tmp_path / "root" / "run", tmp_path / "outside"
    run.mkdir(parents=True)
    outside.mkdir()
    return run, outside


@pytest.fixture
def guarded(make_bench: Callable[..., Any], tmp_path: Path) -> Any:
    """A writer that may write to one root only."""
    bench = make_bench(writer={"output_roots": [str(tmp_path / "root")]})
    bench.make_ring()
    return bench


def replace_by_link(folder: Path, target: Path) -> None:
    folder.rename(folder.with_name("moved"))
    folder.symlink_to(target)


def test_folder_that_a_link_replaces_after_the_agents_check_leads_nowhere(
    guarded: Any, folders: tuple[Path, Path]
) -> None:
    run, outside = folders
    guarded.agent.start(run / "a.h5")
    replace_by_link(run, outside)
    guarded.agent.send(guarded.publisher.publish(1), 0)
    failed = guarded.step_until(ReportKind.FAILED)
    assert f"this folder leads to {outside}, outside the allowed folders: {run.parent}" in failed.message
    assert list(outside.iterdir()) == []


def test_path_outside_the_roots_is_refused_by_the_writer_too(guarded: Any, folders: tuple[Path, Path]) -> None:
    guarded.agent.start(folders[1] / "a.h5")
    guarded.agent.send(guarded.publisher.publish(1), 0)
    assert "outside the allowed folders" in guarded.step_until(ReportKind.FAILED).message
    assert list(folders[1].iterdir()) == []


def test_end_of_a_run_is_written_only_into_its_own_files(guarded: Any, folders: tuple[Path, Path]) -> None:
    run, outside = folders
    victim = layout.data_file_path(outside / "a.h5", 1)
    victim.write_bytes(b"precious")
    guarded.agent.start(run / "a.h5", images_per_file=1)
    for i in range(2):
        guarded.agent.send(guarded.publisher.publish(i + 1), i)
    guarded.agent.end(2)
    guarded.step_until(ReportKind.DRAINED)
    replace_by_link(run, outside)
    guarded.agent.finish()
    assert "outside the allowed folders" in guarded.step_until(ReportKind.FAILED).message
    assert victim.read_bytes() == b"precious"


def test_link_in_the_place_of_a_closed_file_is_not_written_through(guarded: Any, folders: tuple[Path, Path]) -> None:
    run, outside = folders
    victim = outside / "victim"
    guarded.agent.start(run / "a.h5", images_per_file=1)
    for i in range(2):
        guarded.agent.send(guarded.publisher.publish(i + 1), i)
    guarded.agent.end(2)
    guarded.step_until(ReportKind.DRAINED)
    first = layout.data_file_path(run / "a.h5", 1)
    first.rename(victim)
    first.symlink_to(victim)
    before = victim.read_bytes()
    guarded.agent.finish()
    assert "links are not followed here" in guarded.step_until(ReportKind.FAILED).message
    assert victim.read_bytes() == before


def test_master_is_written_only_in_the_roots(guarded: Any, folders: tuple[Path, Path]) -> None:
    run, outside = folders
    guarded.agent.start(run / "a.h5", images_per_file=1)
    for i in range(2):
        guarded.agent.send(guarded.publisher.publish(i + 1), i)
    guarded.agent.end(2)
    guarded.step_until(ReportKind.DRAINED)
    guarded.agent.finish()
    files = guarded.step_until(ReportKind.FINISHED).files
    replace_by_link(run, outside)
    guarded.agent.master(run / "a.h5", files)
    assert "outside the allowed folders" in guarded.step_until(ReportKind.FAILED).message
    assert list(outside.iterdir()) == []


def test_links_at_the_names_that_partial_files_once_had_are_left_alone(
    guarded: Any, folders: tuple[Path, Path]
) -> None:
    run, outside = folders
    (outside / "victim").write_bytes(b"precious")
    (run / f".a.h5.{os.getpid()}.partial").symlink_to(outside / "victim")
    guarded.agent.start(run / "a.h5")
    guarded.agent.send(guarded.publisher.publish(1), 0)
    guarded.agent.end(1)
    guarded.step_until(ReportKind.DRAINED)
    guarded.agent.finish()
    guarded.step_until(ReportKind.FINISHED)
    assert (outside / "victim").read_bytes() == b"precious"
