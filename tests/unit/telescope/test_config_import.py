"""The configurations of existing servers of DaqData become a live.json, and each key without effect is named."""

import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli.__main__ import main
from std_daq.errors import ConfigError
from std_daq.telescope.config_import import import_server_config

SOCKETS = {"enabled": True, "data_products": ["img16"], "socket_path_template": "/s/{dp_name}", "read_timeout": 7.0}
OF_2026 = {
    "unix_domain_socket": "unix:///run/daq.sock",
    "max_concurrent_rpcs": 25,
    "min_hp_io_update_interval_seconds": 0.01,
    "reader_timeout": 60,
    "hp_io_stop_timeout": 10.0,
    "acquisition_methods": {"uds": SOCKETS},
    "simulate_daq_cfg": {
        "simulation_mode": "uds",
        "sim_module_ids": [224, 7],
        "movie_type": "img16",
        "source_data": {"real_module_id": 1, "movie_pff_path": "a.dp_img16.pff"},
        "strategies": {"uds": {"data_products": ["img16"], "frame_limit": -1}},
    },
}


def imported(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    result = import_server_config(json.dumps(document), ".json")
    return result.document, result.remarks


def test_keys_of_an_existing_server_become_those_of_a_live_view() -> None:
    document, remarks = imported(OF_2026)
    assert document == {
        "host": "::",
        "port": 50051,
        "unix_socket": "/run/daq.sock",
        "max_streams": 25,
        "min_update_interval_s": 0.01,
        "no_data_timeout_s": 60,
        "sources": {"unix_sockets": {"path_template": "/s/{dp_name}", "products": ["img16"], "read_timeout_s": 7.0}},
        "simulation": {"mode": "uds", "module_ids": [224, 7], "movie_file": "a.dp_img16.pff"},
    }
    named = [remark.partition(" ")[0] for remark in remarks]
    assert named == [
        "simulate_daq_cfg.movie_type",
        "simulate_daq_cfg.source_data.real_module_id",
        "simulation:",
        "hp_io_stop_timeout",
    ]


def test_files_of_a_server_of_2025_are_read_and_its_unused_timeout_is_not_taken() -> None:
    methods = {"uds": SOCKETS | {"enabled": False}, "filesystem_pipe": {"enabled": True}}
    strategies = {"filesystem_pipe": {"frames_per_pff": 50, "frame_limit": 200}}
    document, remarks = imported(
        {
            "reader_timeout": 5,
            "read_status_pipe_name": "read_status_2",
            "acquisition_methods": methods,
            "simulate_daq_cfg": {"simulation_mode": "filesystem_pipe", "strategies": strategies},
        }
    )
    assert document["sources"] == {"run_directory": {"method": "pipe"}}
    assert document["simulation"] == {"mode": "filesystem_pipe", "frames_per_file": 50, "frame_limit": 200}
    assert "no_data_timeout_s" not in document
    assert any(remark.startswith("reader_timeout has no effect") for remark in remarks)


def test_gateway_in_toml_is_one() -> None:
    text = """
    [server]
    port = 50055
    [server.services]
    telemetry = false
    [daq_data]
    role = "gateway"
    [daq_data.gateway]
    daq_config_path = "daq_config.json"
    network_config_path = ""
    edge_port = 50052
    colour = "red"
    """
    result = import_server_config(text, ".toml")
    assert result.document == {
        "host": "::",
        "port": 50055,
        "gateway": {"daq_config": "daq_config.json", "edge_port": 50052},
    }
    assert result.remarks == ["gateway.colour has no effect: std-live-view does not know it"]


@pytest.mark.parametrize(
    ("text", "suffix"), [("[server", ".toml"), ("{", ".json"), ('{"reader_timeout": -1}', ".json")]
)
def test_what_cannot_be_imported_is_a_configuration_error(text: str, suffix: str) -> None:
    with pytest.raises(ConfigError):
        import_server_config(text, suffix)


def test_command_prints_a_configuration_that_is_valid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "daq_data_server_config.json"
    file.write_text(json.dumps(OF_2026))
    assert main(["config", "import", str(file)]) == 0
    told = capsys.readouterr()
    (tmp_path / "live.json").write_text(told.out)
    assert "hp_io_stop_timeout has no effect" in told.err
    assert main(["config", "check", str(tmp_path / "live.json")]) == 0
