"""GRAW files are built into events before they are analysed."""

import json

import h5py
import numpy as np
import pytest

from std_daq.errors import FileFormatError
from std_daq.tpc.config import load_tpc_config
from std_daq.tpc.frames.event_decoder import EventDecoder
from std_daq.tpc.frames.frame import parse_frame
from std_daq.tpc.offline.analysis import FileAnalysis
from std_daq.tpc.offline.execution import InThisProcess
from std_daq.tpc.offline.sources import open_source
from std_daq.tpc.offline.unit import analyse_unit
from std_daq.tpc.pads.load import load_pads
from std_daq.tpc.reconstruction.parameters import DetectorParameters
from std_daq.tpc.reconstruction.pipeline import Pipeline
from std_daq.tpc.simulation.chamber import SimulatedChamber
from std_daq.tpc.simulation.readout import Readout
from std_test_kit.helix_events import channel_lines

BOARDS = [(0, 0), (0, 1), (1, 0)]
N_EVENTS, RESTART_AT = 6, 4


@pytest.fixture
def config(tmp_path):
    (tmp_path / "map.csv").write_text("\n".join(channel_lines()))
    path = tmp_path / "tpc.json"
    document = {
        "detector_name": "chamber",
        "detector_type": "get-tpc",
        "exporters": ["127.0.0.1:1"],
        "pads": {"electronics": "map.csv", "geometry": "attpc"},
        "boards": BOARDS,
    }
    path.write_text(json.dumps(document))
    return load_tpc_config(path)


def _events(plane):
    chamber = SimulatedChamber(plane, tuple(BOARDS), DetectorParameters())
    readout = Readout(chamber, n_made=2, rate_hz=100, first_id=7, restart_at=RESTART_AT)
    return [readout.event(index) for index in range(N_EVENTS)]


@pytest.mark.long
def test_events_are_built_of_the_files_of_the_boards(config, tmp_path):
    plane = load_pads(config.pads)
    events = _events(plane)
    files = [tmp_path / f"CoBo{cobo}_AsAd{asad}.graw" for cobo, asad in BOARDS]
    for board, file in zip(BOARDS, files, strict=True):
        file.write_bytes(b"".join(frame.data for event in events for frame in event.frames if frame.board == board))
    output = tmp_path / "result.h5"
    report = FileAnalysis(open_source(files, config), files, config, output).run(InThisProcess(), lambda n: None)
    assert report.n_events == N_EVENTS
    decoder, pipeline = EventDecoder(plane), Pipeline(plane, config.analysis)
    with h5py.File(output) as result:
        for n, event in enumerate(events):
            epoch = int(n >= RESTART_AT)
            matrix = decoder.decode([parse_frame(np.frombuffer(frame.data, np.uint8)) for frame in event.frames])
            wanted = pipeline.run(event.event_id, epoch, matrix)
            cloud = result[f"clouds/event_{n}"]
            assert (cloud.attrs["id"], cloud.attrs["epoch"]) == (event.event_id, epoch)
            assert len(wanted.cloud) > 0
            np.testing.assert_array_equal(cloud, wanted.cloud)


def test_a_file_that_changes_meanwhile_is_told(config, tmp_path):
    event = _events(load_pads(config.pads))[0]
    files = [tmp_path / f"CoBo{cobo}_AsAd{asad}.graw" for cobo, asad in BOARDS]
    for frame, file in zip(event.frames, files, strict=True):
        file.write_bytes(frame.data)
    (unit,) = open_source(files, config).units()
    files[1].write_bytes(bytes(files[1].stat().st_size))
    with pytest.raises(FileFormatError, match=r"CoBo0_AsAd1\.graw: the frame at byte 0 is not there any more"):
        analyse_unit(unit, config)
