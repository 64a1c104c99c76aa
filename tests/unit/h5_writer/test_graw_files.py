"""GrawFiles: the raw frames of a run, their index, and what becomes of them when something goes wrong."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path

import numpy as np
import pytest

from std_daq.cli.__main__ import main
from std_daq.recording.requests import RunReport, Verdict, WriteRequest
from std_daq.recording.store_stream import StartRun
from std_daq.tpc.electronics import Board
from std_daq.tpc.events.board_bits import boards_to_bits
from std_daq.tpc.events.event_buffer import EventBuffer
from std_daq.tpc.file_kind import FileKind, kind_of
from std_daq.tpc.frames.block_checksums import BlockChecksums, FrameBlock, changed_blocks
from std_daq.tpc.frames.graw import read_graw
from std_daq.tpc.frames.graw_index import validate_graw_index
from std_daq.tpc.frames.graw_writer import GrawWriter
from std_h5_writer.file_owner import FileOwner
from std_h5_writer.graw_files import GrawFiles
from std_h5_writer.ring_reader import RunImage
from std_test_kit.tpc_exporters import frame_of

BOARDS = [(0, 0), (3, 2)]


@pytest.fixture
def ring(shm_dir: Path) -> Iterator[EventBuffer]:
    ring = EventBuffer.create(shm_dir / "events", buffer_bytes=1_000_000, max_traces=20)[0]
    yield ring
    ring.close()


def publish(ring: EventBuffer, event_id: int, boards: list[Board] = BOARDS, *, keep: bool = True) -> RunImage:
    frames = [np.frombuffer(frame_of(event_id, board), np.uint8) for board in boards]
    ring.begin_event(3, frames if keep else ())[:] = event_id
    ring.publish(
        event_id=event_id,
        epoch=0,
        n_traces=3,
        timestamp=1,
        timestamp_other=0,
        n_boards=len(BOARDS),
        missing_bits=boards_to_bits(sorted({*BOARDS} - {*boards})),
        first_arrival_ns=1,
        built_ns=2,
    )
    sequence = ring.journal.next_sequence - 1
    event = ring.view(sequence)
    assert event is not None
    assert (event.traces == event_id).all()
    return RunImage(sequence, sequence, event, ring)


@pytest.fixture
def files(tmp_path: Path) -> GrawFiles:
    request = WriteRequest(output_file=str(tmp_path / "run.json"), format="graw")
    start = StartRun(run_id=1, request_id="1", request=request, output_file=request.output_file, images_per_file=None)
    return GrawFiles(start, FileOwner(None), max_file_bytes=2 * len(frame_of(0, BOARDS[0])))


def append(files: GrawFiles, *events: RunImage) -> None:
    for one in events:
        files.append(one, one.image.traces, past_page_cache=False)


def finish(files: GrawFiles) -> None:
    report = RunReport(request_id="1", verdict=Verdict.COMPLETE, n_written=files.n_written)
    files.finish(report, lambda: None)


def written(files: GrawFiles, board: Board) -> list[bytes]:
    paths = [path for path in files.paths[1:] if path.name.startswith(f"CoBo{board[0]}_AsAd{board[1]}_")]
    return [frame.data.tobytes() for path in paths for frame in read_graw(path).frames]


def test_frames_of_each_board_are_in_its_files_and_the_index_counts_them(files: GrawFiles, ring: EventBuffer) -> None:
    append(files, *(publish(ring, i) for i in range(3)), publish(ring, 3, BOARDS[:1]), publish(ring, 4, keep=False))
    assert (files.n_written, files.n_flushed, files.unflushed_ids) == (5, 5, [])
    finish(files)
    assert written(files, BOARDS[0]) == [frame_of(i, BOARDS[0]) for i in range(4)]
    assert written(files, BOARDS[1]) == [frame_of(i, BOARDS[1]) for i in range(3)]
    assert len(files.paths) == 1 + 2 + 2  # each file holds two frames
    assert files.faults.n_images == 2
    assert files.faults.faults["no_frames"].n_images == 1
    assert files.faults.faults["missing_boards"].boards == ((3, 2),)
    report = validate_graw_index(files.paths[0])
    assert report.is_valid, report.problems
    assert (report.n_events, report.n_frames, report.n_missing) == (5, 7, 1)


def test_an_event_that_was_overwritten_leaves_nothing(files: GrawFiles, ring: EventBuffer) -> None:
    first, second = publish(ring, 1), publish(ring, 2)
    append(files, first, second)
    files.drop_last(second)
    assert (files.n_written, files.n_flushed) == (1, 1)
    finish(files)
    assert written(files, BOARDS[0]) == [frame_of(1, BOARDS[0])]


def test_validate_tells_what_became_of_the_files(
    files: GrawFiles, ring: EventBuffer, capsys: pytest.CaptureFixture[str]
) -> None:
    append(files, *(publish(ring, i) for i in range(4)))
    index = files.paths[0]
    assert not validate_graw_index(index).is_valid  # the run goes on
    finish(files)
    assert kind_of(index) is FileKind.GRAW_INDEX
    assert main(["validate", str(index)]) == 0
    files.paths[1].write_bytes(frame_of(0, BOARDS[0]))
    assert main(["validate", str(index)]) == 1
    assert "board [0, 0]: 3 frames are in its files, 4 were written" in capsys.readouterr().out
    files.paths[-1].unlink()
    assert any("there is no such file" in str(problem) for problem in validate_graw_index(index).problems)
    assert main(["recover", str(index)]) == 2
    assert "need no repair" in capsys.readouterr().err
    document = json.loads(index.read_text())
    del document["boards"]
    index.write_text(json.dumps(document))
    assert "cannot be read as an index of GRAW files" in str(validate_graw_index(index).problems[0])


def test_each_flipped_bit_is_found_and_its_event_is_named(files: GrawFiles, ring: EventBuffer) -> None:
    append(files, *(publish(ring, i) for i in range(7, 11)))
    finish(files)
    index, *graws = files.paths
    random = np.random.default_rng(1)
    for path in graws:
        whole = path.read_bytes()
        for bit in random.integers(0, 8 * len(whole), 20).tolist():
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            report = validate_graw_index(index)
            assert not report.is_valid
            assert any(f"{path}: frames of the events" in str(problem) for problem in report.problems), bit
        path.write_bytes(whole)
    assert validate_graw_index(index).is_valid


def test_blocks_end_with_a_frame_and_name_their_events(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    frames = [np.full(100, i, np.uint8) for i in range(5)]
    monkeypatch.setattr("std_daq.tpc.frames.block_checksums.BLOCK_BYTES", 150)
    checksums = BlockChecksums()
    for event_id, frame in enumerate(frames):
        checksums.add(frame, event_id)
    blocks = checksums.blocks
    assert [(block.first_id, block.last_id, block.n_bytes) for block in blocks] == [
        (0, 1, 200),
        (2, 3, 200),
        (4, 4, 100),
    ]
    assert [FrameBlock.from_json(block.to_json()) for block in blocks] == blocks
    path = tmp_path / "file.graw"
    path.write_bytes(b"".join(frame.tobytes() for frame in frames))
    assert list(changed_blocks(path, blocks)) == []
    path.write_bytes(path.read_bytes()[:-1])
    assert list(changed_blocks(path, blocks)) == [(400, blocks[2])]


class FullDisk(FileIO):
    """A file on a disk that becomes full in the middle of a frame."""

    room = 0

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        n = super().write(data[: self.room])
        self.room -= n
        return n


def test_a_frame_for_which_the_disk_has_no_room_is_taken_back(tmp_path: Path) -> None:
    frame = frame_of(0, (0, 0))

    def make(path: Path) -> FileIO:
        file = FullDisk(path, "xb")
        file.room = len(frame) + len(frame) // 2
        return file

    with GrawWriter(tmp_path, datetime.now(UTC), (0, 0), make=make) as writer:
        writer.write(frame)
        with pytest.raises(OSError, match="No space left"):
            writer.write(frame)
        assert writer.files[0].read_bytes() == frame
