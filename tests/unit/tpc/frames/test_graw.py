from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.tpc.frames.encode import (
    EventHeader,
    FrameFormat,
    encode_items,
    encode_merged,
    encode_topology,
    partial_items,
)
from std_daq.tpc.frames.graw import GrawReader, read_graw
from std_daq.tpc.frames.graw_writer import GrawWriter
from std_daq.tpc.frames.records import TOPOLOGY, Fault

BEGAN = datetime(2022, 4, 12, 8, 3, 44, 531_000)


def event_frame(event_id: int, board: tuple[int, int] = (0, 1), n_items: int = 30, block: int = 256) -> bytes:
    items = partial_items(*np.arange(4 * n_items).reshape(4, n_items) % 4)
    return encode_items(EventHeader(event_id, event_id * 100, board), items, FrameFormat(block))


def test_files_of_a_board_begin_anew_at_their_size(tmp_path: Path) -> None:
    frames = [encode_topology(0), *(event_frame(n) for n in range(10))]
    with GrawWriter(tmp_path, BEGAN, (0, 1), max_bytes=1200) as writer:
        for frame in frames:
            writer.write(frame)
    assert [file.name for file in writer.files[:2]] == [
        "CoBo0_AsAd1_2022-04-12T08:03:44.531_0000.graw",
        "CoBo0_AsAd1_2022-04-12T08:03:44.531_0001.graw",
    ]
    assert len(writer.files) == 5
    assert all(file.stat().st_size <= 1200 for file in writer.files)
    contents = [read_graw(file) for file in writer.files]
    found = [frame for content in contents for frame in content.frames]
    assert [frame.data.tobytes() for frame in found] == frames
    assert found[0].frame_type == TOPOLOGY
    assert not any(content.damaged for content in contents)


def test_boards_may_be_mixed_in_a_file(tmp_path: Path) -> None:
    with GrawWriter(tmp_path, BEGAN, 3) as writer:
        for n in range(3):
            for board in ((3, 1), (3, 0)):
                writer.write(event_frame(n, board, block=64))
    assert [file.name for file in writer.files] == ["CoBo3_2022-04-12T08:03:44.531_0000.graw"]
    frames = read_graw(writer.files[0]).frames
    assert [(frame.event_id, frame.board) for frame in frames] == [(n, (3, b)) for n in range(3) for b in (1, 0)]


def test_place_of_a_frame_is_where_its_bytes_are(tmp_path: Path) -> None:
    frames = [event_frame(1), event_frame(2, (3, 0)), event_frame(3)]
    file = tmp_path / "mixed.graw"
    file.write_bytes(frames[0] + encode_merged(frames[1:], event_id=2))
    reader = GrawReader(file)
    places = [reader.place(frame) for frame in reader]
    assert [file.read_bytes()[begin:end] for begin, end in places] == frames


def test_empty_file_has_no_frames(tmp_path: Path) -> None:
    with GrawWriter(tmp_path, BEGAN, (1, 2)) as writer:
        pass
    content = read_graw(writer.files[0])
    assert (content.frames, content.damaged) == ([], [])


def test_last_frame_that_is_cut_off_is_told(tmp_path: Path) -> None:
    whole = event_frame(1)
    for left in (1, 20, 100, len(whole) - 1):
        file = tmp_path / f"{left}.graw"
        file.write_bytes(whole + event_frame(2)[:left])
        content = read_graw(file)
        assert [frame.event_id for frame in content.frames] == [1]
        (damage,) = content.damaged
        assert (damage.begin, damage.end, damage.fault) == (len(whole), len(whole) + left, Fault.CUT_OFF)
        assert str(damage) == f"the last frame is cut off: {left} bytes at byte {len(whole)}"


@pytest.mark.parametrize("place", [0, 1, 6, 8, 10, 12])
def test_frames_behind_a_damaged_one_are_found(tmp_path: Path, place: int) -> None:
    damaged = bytearray(event_frame(2))
    damaged[place] ^= 0x81
    file = tmp_path / "damaged.graw"
    file.write_bytes(event_frame(1) + bytes(damaged) + event_frame(3) + event_frame(4))
    content = read_graw(file)
    assert [frame.event_id for frame in content.frames] == [1, 3, 4]
    (damage,) = content.damaged
    assert (damage.begin, damage.end) == (512, 1024)
    assert "512 bytes at byte 512 are no frame (" in str(damage)


def test_old_header_in_the_padding_is_not_taken_for_a_frame(tmp_path: Path) -> None:
    damaged = bytearray(event_frame(2))
    damaged[128:216] = event_frame(77)[:88]
    damaged[6] = 99
    damaged[1:4] = b"\x00\x00\x05"  # nor does its size help
    file = tmp_path / "damaged.graw"
    file.write_bytes(event_frame(1) + bytes(damaged) + event_frame(3))
    assert [frame.event_id for frame in read_graw(file).frames] == [1, 3]


def test_frames_of_merged_frames_come_one_by_one(tmp_path: Path) -> None:
    file = tmp_path / "merged.graw"
    file.write_bytes(encode_merged([event_frame(1), event_frame(1, (0, 2))], event_id=1) + event_frame(2))
    assert [frame.board for frame in read_graw(file).frames] == [(0, 1), (0, 2), (0, 1)]


def test_damage_within_a_merged_frame_is_told_with_its_place(tmp_path: Path) -> None:
    merged = bytearray(encode_merged([event_frame(1), event_frame(1, (0, 2))], event_id=1))
    merged[256 + 512 + 6] = 99
    file = tmp_path / "merged.graw"
    file.write_bytes(event_frame(0) + bytes(merged))
    content = read_graw(file)
    assert [frame.event_id for frame in content.frames] == [0, 1]
    assert [(one.begin, one.fault) for one in content.damaged] == [(512, Fault.FRAME_TYPE)]
    assert "in the merged frame at byte 512" in str(content.damaged[0])


def test_other_files_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.graw"
    file.write_bytes(b"this is a text\n" * 100)
    with pytest.raises(FileFormatError, match=r"other\.graw: no frame is in it"):
        read_graw(file)


def test_reader_tells_how_far_it_is(tmp_path: Path) -> None:
    file = tmp_path / "many.graw"
    file.write_bytes(b"".join(event_frame(n) for n in range(2000)))
    reader = GrawReader(file)
    places = []
    for n, frame in enumerate(reader):
        assert frame.event_id == n
        places.append(reader.position)
    assert places == sorted(places)
    assert (n, reader.position, reader.n_bytes) == (1999, 2000 * 512, 2000 * 512)
