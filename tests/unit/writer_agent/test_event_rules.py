"""What may be asked of a chamber."""

from pathlib import Path
from typing import Any

import pytest

from std_daq.errors import RequestRefusedError
from std_daq.recording.requests import WriteRequest
from std_daq.tpc.merged.event_log import log_path
from std_daq.tpc.pads.channel_map import ChannelMap, MappedChannel
from std_daq.tpc.pads.plane import PadPlane
from std_writer_agent.event_rules import EventRules

SILICON = PadPlane(channel_map=ChannelMap.of([MappedChannel(0, 0, 0, 0, 1, 0)]))


def check(
    plane: PadPlane = PadPlane(),  # noqa: B008
    path: Path = Path("/f.h5"),
    *,
    keeps_frames: bool = False,
    **fields: Any,
) -> None:
    EventRules(plane, keeps_frames=keeps_frames).check(WriteRequest(output_file=str(path), **fields))


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"format": "pff"}, "a chamber writes hdf5"),
        ({"format": "graw"}, r"set builder\.keep_frames"),
        ({"format": "hdf5+graw"}, r"set builder\.keep_frames"),
        ({"images_per_file": 3}, "has all events of its run"),
        ({"n_files": 3, "n_images": 9}, "has all events of its run"),
        ({"compression": "bslz4"}, "without compression only"),
        ({"experiment": {"distance_m": 1}}, "go into user_metadata"),
    ],
)
def test_what_a_merged_file_cannot_be_is_refused_with_the_reason(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(RequestRefusedError, match=reason):
        check(**fields)


@pytest.mark.parametrize("layout", [None, "1.0"])
def test_silicon_detectors_need_layout_2(layout: str | None) -> None:
    with pytest.raises(RequestRefusedError, match=r"ask for layout 2\.0"):
        check(SILICON, layout=layout)
    check(SILICON, layout="2.0")
    check(layout=layout)


def test_a_name_whose_log_was_left_by_a_killed_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    check(path=path)
    log_path(path).touch()
    with pytest.raises(RequestRefusedError, match="std-daq recover"):
        check(path=path)


def test_raw_frames_have_no_layout_and_their_index_is_not_overwritten(tmp_path: Path) -> None:
    check(keeps_frames=True, format="graw")
    check(SILICON, keeps_frames=True, format="graw")
    with pytest.raises(RequestRefusedError, match="GRAW files have no layouts"):
        check(keeps_frames=True, format="graw", layout="1.0")
    with pytest.raises(RequestRefusedError, match=r"ask for layout 2\.0"):
        check(SILICON, keeps_frames=True, format="hdf5+graw")
    file = tmp_path / "run.h5"
    check(path=file, keeps_frames=True, format="hdf5+graw")
    (tmp_path / "run.h5.graw.json").touch()
    with pytest.raises(RequestRefusedError, match="the index of the GRAW files"):
        check(path=file, keeps_frames=True, format="hdf5+graw")
