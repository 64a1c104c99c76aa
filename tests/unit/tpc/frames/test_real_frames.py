"""Frames of two chambers, measured with GET electronics, give what was read from them by hand."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest

from std_daq.tpc.frames.decode import decode_board
from std_daq.tpc.frames.frame import Frame, parse_frame
from std_daq.tpc.frames.graw import read_graw
from std_daq.tpc.frames.records import ItemCount
from std_test_kit.shared_data import REAL_GET, needs_data

pytestmark = needs_data(REAL_GET)

FIELDS = {
    "frameType": "frame_type", "dataSource": "data_source", "revision": "revision", "itemSize": "item_bytes",
    "nItems": "n_items", "eventTime": "event_time", "eventIdx": "event_id", "coboIdx": "cobo", "asadIdx": "asad",
    "readOffset": "read_offset", "status": "status", "windowOut": "window_out", "multip": "multiplicities",
    "lastCell": "last_cells", "bytes": "n_bytes", "metaType": "meta_type",
}  # fmt: skip


def expectations() -> list[dict[str, Any]]:
    file = REAL_GET / "expected.json"
    return json.loads(file.read_text())["frames"] if file.exists() else []


@pytest.mark.parametrize("expected", expectations(), ids=lambda one: f"{one['file']}-{one['frame']}")
def test_real_frame_is_decoded_to_its_checksum(expected: dict[str, Any]) -> None:
    begin = expected["offset"]
    frame = parse_frame((REAL_GET / expected["file"]).read_bytes()[begin : begin + expected["bytes"]])
    assert isinstance(frame, Frame)
    found = {name: frame.header[field].tolist() for name, field in FIELDS.items()}
    assert found == {name: expected[name] for name in FIELDS}
    assert [frame.hit_channels(aget) for aget in range(4)] == expected["hitPat"]
    samples, counts = decode_board(frame)
    assert hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest() == expected["sha256"]
    assert int((frame.items.byteswap() & 0xFFF).sum()) == expected["sample_sum"]  # with those that come twice
    n_doubled = expected["nItems"] - np.count_nonzero(samples >= 0)
    assert counts == {
        ItemCount.SAMPLE: expected["nItems"], ItemCount.DOUBLED: n_doubled, ItemCount.UNMAPPED: 0,
        ItemCount.BAD_CHANNEL: 0, ItemCount.SURPLUS: 0, ItemCount.UNUSED_BITS: 0,
    }  # fmt: skip


def test_real_files_are_frames_one_after_another() -> None:
    for asad in range(4):
        found = read_graw(REAL_GET / f"full_asad{asad}.graw")
        assert [(frame.event_id, frame.board) for frame in found.frames] == [(n, (0, asad)) for n in (80, 81, 82)]
        assert found.damaged == []


def test_real_topology_frame_announces_its_boards() -> None:
    frame = parse_frame(bytes.fromhex("40 00 00 0c 00 00 07 00 00 0f 00 00"))
    assert isinstance(frame, Frame)
    assert frame.announced_boards == ((0, 0), (0, 1), (0, 2), (0, 3))
    assert not frame.has_samples
