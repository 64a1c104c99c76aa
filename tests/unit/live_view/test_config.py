"""The configuration of a live view."""

import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.cli.__main__ import main
from std_daq.config.load import check_config
from std_daq.config.system import load_any_config
from std_daq.errors import ConfigError
from std_daq.grpc_server.config import instance_name
from std_daq.service.registry import wanted_instances
from std_daq.telescope.config import LiveViewConfig


def test_every_key_has_a_default() -> None:
    config = check_config({}, LiveViewConfig)
    assert (config.host, config.port, config.unix_socket, config.max_streams) == ("127.0.0.1", 50051, None, 25)
    assert (config.min_update_interval_s, config.no_data_timeout_s, config.required_process) == (
        0.001,
        None,
        "hashpipe",
    )
    assert (config.start, config.sources.unix_sockets, config.sources.run_directory) == (None, None, None)
    assert (config.simulation.mode, config.simulation.module_ids, config.simulation.rate_hz) == ("uds", [224], 10)
    assert (config.simulation.frames_per_file, config.simulation.frame_limit) == (100, 1000)


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"prot": 1}, "key 'prot': unknown key; did you mean 'port'"),
        ({"port": None}, "port and unix_socket are both null"),
        ({"port": 70000}, "key 'port'"),
        ({"start": {}}, "data_dir is needed unless simulate is true"),
        ({"sources": {"unix_sockets": {"path_template": "/tmp/x.sock"}}}, "must contain {dp_name}"),
        ({"sources": {"unix_sockets": {"path_template": "/tmp/{dp_name}{x}"}}}, "must contain {dp_name}"),
        ({"sources": {"unix_sockets": {"products": ["img32"]}}}, "sources.unix_sockets.products.0"),
        ({"simulation": {"module_ids": [70000]}}, "less than or equal to 65535"),
        ({"simulation": {"mode": "magic"}}, "simulation.mode"),
        ({"no_data_timeout_s": 0}, "no_data_timeout_s"),
    ],
)
def test_wrong_key_or_value_is_named(document: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_config(document, LiveViewConfig)
    assert what in str(refused.value)


def test_file_is_known_as_that_of_a_telescope_and_wants_one_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "live.json"
    file.write_text(json.dumps({"port": 50051, "sources": {"run_directory": {}, "uploads": False}}))
    config = load_any_config(file)
    assert isinstance(config, LiveViewConfig)
    (wanted,) = wanted_instances(config)
    assert wanted.command(file).arguments == ("--config", str(file), "--instance", "live-view")
    assert main(["config", "check", str(file)]) == 0
    assert "run directory" in capsys.readouterr().out


def test_processes_of_several_configurations_have_different_names(tmp_path: Path) -> None:
    config = check_config({"unix_socket": "live.sock"}, LiveViewConfig)
    names = {instance_name("live-view", tmp_path / folder / "live.json", config) for folder in ("a", "b")}
    assert len(names) == 2
    assert names == {instance_name("live-view", tmp_path / folder / "live.json", config) for folder in ("a", "b")}
