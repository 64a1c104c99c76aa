"""The edges of a gateway: where they are, by the files of the observatory, the configuration and the environment."""

import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.errors import ConfigError
from std_daq.telescope.config import GatewayConfig
from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_live_view.edges import PORT_VARIABLE, edges_of
from std_live_view.sources.edge_source import edge_frame
from std_live_view.uploads import MAX_HEADER_BYTES

NODE = "10.0.0.5"
FORWARDED = {"status": True, "gw_ip": "gate", "port": 22}  # `port` is that of SSH


def targets(folder: Path, way: dict[str, Any], **config: Any) -> list[str]:
    (folder / "daq_config.json").write_text(json.dumps({"daq_nodes": [{"ip_addr": NODE}]}))
    (folder / "network_config.json").write_text(json.dumps({"daq_nodes": [{"ip_addr": NODE} | way]}))
    files = {"daq_config": "daq_config.json", "network_config": "network_config.json"}
    return [edge.host.target for edge in edges_of(GatewayConfig.model_validate(files | config), folder)]


@pytest.mark.parametrize(
    ("way", "edge_port", "variable", "target"),
    [
        ({"port_forwarding": FORWARDED | {"grpc_port": 1001}, "grpc_port": 1002}, 1003, "1004", "gate:1001"),
        ({"port_forwarding": FORWARDED, "grpc_port": 1002}, 1003, "1004", "gate:1002"),
        ({"grpc_port": 1002}, 1003, "1004", f"{NODE}:1002"),
        ({"port_forwarding": FORWARDED}, 1003, "1004", "gate:1003"),
        ({}, 1003, "1004", f"{NODE}:1003"),
        ({"port_forwarding": FORWARDED}, None, "1004", "gate:1004"),
        ({}, None, "1004", f"{NODE}:1004"),
        ({}, None, "", f"{NODE}:50051"),
        ({}, None, None, f"{NODE}:50051"),
        ({"port_forwarding": FORWARDED | {"status": False, "grpc_port": 1001}}, None, "1004", f"{NODE}:1004"),
    ],
)
def test_port_is_that_of_the_network_configuration_else_edge_port_else_that_of_the_environment(
    way: dict[str, Any],
    edge_port: int | None,
    variable: str | None,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.delenv(PORT_VARIABLE, raising=False)
    if variable is not None:
        monkeypatch.setenv(PORT_VARIABLE, variable)
    assert targets(tmp_path, way, edge_port=edge_port) == [target]


def test_edges_of_list_and_file_are_each_meant_once_and_keep_their_own_ports(tmp_path: Path) -> None:
    edges = ["dome-1", "dome-2:1005", "unix:/run/live.sock", f"{NODE}:1002"]
    assert targets(tmp_path, {"grpc_port": 1002}, edges=edges, edge_port=1003) == [
        "dome-1:1003", "dome-2:1005", "unix:/run/live.sock", f"{NODE}:1002",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["fifty", "-1", "0", "70000"])
def test_port_of_the_environment_that_is_none_is_named(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(PORT_VARIABLE, text)
    with pytest.raises(ConfigError, match=f"EDGENODE_GRPC_PORT.*{text}"):
        targets(tmp_path, {})


def test_file_that_is_missing_is_named(tmp_path: Path) -> None:
    for config in ({"daq_config": "none.json"}, {"edges": ["dome-1"], "token_file": "none.txt"}):
        with pytest.raises(ConfigError, match=r"none\."):
            edges_of(GatewayConfig.model_validate(config), tmp_path)


def test_image_of_an_edge_whose_header_is_too_large_is_refused() -> None:
    image = messages.PanoImage(type=messages.PanoImage.MOVIE, shape=(1, 1), bytes_per_pixel=2, image_array=[1])
    assert edge_frame(image).maximum == 1
    image.header.update({"text": "x" * MAX_HEADER_BYTES})
    with pytest.raises(ValueError, match=f"header or file is larger than {MAX_HEADER_BYTES} bytes"):
        edge_frame(image)
