import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli.__main__ import main
from std_daq.config.system import load_any_config
from std_daq.errors import ConfigError
from std_daq.tpc.boards import expected_boards
from std_daq.tpc.config import TpcConfig, load_tpc_config, split_address
from std_daq.tpc.pads.config import PadsConfig
from std_daq.tpc.pads.load import load_pads

EXAMPLE = {
    "detector_name": "attpc",
    "detector_type": "get-tpc",
    "exporters": ["192.168.41.60:46491", "192.168.41.61:46491"],
    "pads": {
        "electronics": "pad_electronics.csv",
        "geometry": "attpc",
        "scale": "attpc",
        "time_correction": "pad_time_correction.csv",
        "beam_radius_mm": 20.0,
    },
    "analysis": {"detector": {"magnetic_field": 2.85}, "estimate": {"smoothing_factor": 100.0}},
}
MAP = "cobo,asad,aget,aget channel,pad\n7,2,1,10,9908\n7,2,1,9,3\n0,1,0,0,12\n"


def write(folder: Path, document: dict[str, Any], **files: str) -> Path:
    (folder / "pad_electronics.csv").write_text(files.get("electronics", MAP))
    (folder / "pad_time_correction.csv").write_text("offset\r" + "0.5\r" * 10_240)
    file = folder / "tpc.json"
    file.write_text(json.dumps(document))
    return file


def changed(**keys: Any) -> dict[str, Any]:
    return {**EXAMPLE, **keys}


def test_example_of_the_interface_is_loaded_with_its_defaults(tmp_path: Path) -> None:
    config = load_any_config(write(tmp_path, EXAMPLE))
    assert isinstance(config, TpcConfig)
    assert isinstance(config.pads, PadsConfig)
    assert config.pads.electronics == tmp_path / "pad_electronics.csv"  # relative to the file
    assert (config.name, config.boards, config.viewer.url, config.analysis.seed) == ("attpc", "map", None, 0)
    builder = config.builder
    assert (builder.time_limit_s, builder.reconnect_s) == (1.0, 0.2)
    assert (builder.max_frame_bytes, builder.ram_buffer_gb) == (1_048_576, 1.0)
    assert (config.analysis.detector.magnetic_field, config.analysis.get.peak_separation) == (2.85, 50)
    assert [path.name for path in config.ring_paths] == ["attpc-events"]


def test_defaults_of_the_analysis_are_those_of_the_original(tmp_path: Path) -> None:
    document = {key: value for key, value in EXAMPLE.items() if key != "analysis"}
    analysis = load_tpc_config(write(tmp_path, document)).analysis
    assert analysis.model_dump() == {
        "detector": {
            "magnetic_field": 3.0,
            "electric_field": 45000.0,
            "detector_length": 1000.0,
            "beam_region_radius": 30.0,
            "micromegas_time_bucket": 10.0,
            "window_time_bucket": 560.0,
            "get_frequency": 6.25,
        },
        "get": {
            "baseline_window_scale": 20.0,
            "peak_separation": 50.0,
            "peak_prominence": 20.0,
            "peak_max_width": 100.0,
            "peak_threshold": 25.0,
        },
        "cluster": {
            "min_cloud_size": 50,
            "min_points": 3,
            "min_size_scale_factor": 0.05,
            "min_size_lower_cutoff": 10,
            "cluster_selection_epsilon": 10.0,
            "overlap_join": {"min_cluster_size_join": 15.0, "circle_overlap_ratio": 0.5},
            "continuity_join": None,
            "outlier_scale_factor": 0.5,
        },
        "estimate": {"min_total_trajectory_points": 30, "smoothing_factor": 100.0},
        "phases": ["cloud", "clusters", "estimates"],
        "seed": 0,
    }


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"exporters": []}, "key 'exporters': must have at least 1 item"),
        ({"exporters": ["localhost"]}, "'localhost' is not host:port"),
        ({"exporters": ["a:1", "a:1"]}, "names a:1 twice"),
        ({"exporters": ["a:70000"]}, "'a:70000' is not host:port"),
        ({"detector_type": "get"}, "key 'detector_type': must be 'get-tpc'"),
        ({"pads": "attpc"}, "key 'pads': must be 'attpc_spyral'"),
        ({"pads": {"geometri": "attpc"}}, "key 'pads.geometri': unknown key; did you mean 'geometry'?"),
        ({"pads": {"beam_radius_mm": -1}}, "key 'pads.beam_radius_mm': must be greater"),
        ({"pads": {}}, "boards are those of the channel map, but pads.electronics names none"),
        ({"boards": [[0, 4]]}, "key 'boards.0.1': must be less than 4"),
        ({"boards": [[0, 3], [0, 3]]}, "names board [0, 3] twice"),
        ({"boards": []}, "key 'boards': must have at least 1 item"),
        ({"boards": "all"}, "key 'boards': must be 'map' or 'topology'"),
        ({"builder": {"time_limit_s": 0}}, "key 'builder.time_limit_s': must be greater than 0"),
        ({"viewer": {"url": "localhost"}}, "key 'viewer.url': 'localhost' is not host:port"),
        ({"analysis": {"get": {"peak_width": 3}}}, "key 'analysis.get.peak_width': unknown key"),
        ({"exporter": ["a:1"]}, "key 'exporter': unknown key; did you mean 'exporters'?"),
    ],
)
def test_mistakes_are_told_with_their_key(tmp_path: Path, keys: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tpc_config(write(tmp_path, changed(**keys)))
    assert problem in str(caught.value)
    assert "tpc.json" in str(caught.value)


def test_configuration_of_another_system_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "farm.json"
    file.write_text(json.dumps({"name": "tank", "geometry": "g.json", "n_workers": 1}))
    with pytest.raises(ConfigError, match=r"of photons, but one of a chamber is needed; give a tpc\.json"):
        load_tpc_config(file)


def test_check_reads_the_files_of_the_pad_plane(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "--json", str(write(tmp_path, EXAMPLE))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["system"], found["boards"], found["channels"]) == ("tpc", "2", "3 in the map")
    assert found["pads"] == "10240, 122 of the beam"
    file = write(tmp_path, EXAMPLE, electronics="cobo,asad,aget,channel,pad\n0,4,0,0,1\n")
    assert main(["config", "check", str(file)]) == 2
    assert "tpc.json" in (told := capsys.readouterr().err) or "pad_electronics.csv" in told
    assert "line 2: asad 4 is not within 0 and 3" in told


@pytest.mark.parametrize(
    ("boards", "expected"),
    [("map", {(0, 1), (7, 2)}), ("topology", None), ([[3, 0], [3, 1]], {(3, 0), (3, 1)})],
)
def test_boards_of_an_event_are_those_of_map_list_or_topology(
    tmp_path: Path, boards: Any, expected: set[tuple[int, int]] | None
) -> None:
    config = load_tpc_config(write(tmp_path, changed(boards=boards)))
    assert expected_boards(config.boards, load_pads(config.pads)) == expected


@pytest.mark.parametrize(
    ("address", "parts"), [("192.168.41.60:46491", ("192.168.41.60", 46491)), ("[::1]:9", ("::1", 9))]
)
def test_addresses_are_split(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts
