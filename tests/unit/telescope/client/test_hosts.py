"""The hosts of a client: addresses of every kind, configurations as documents, paths and texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from std_daq.errors import EXIT_WRONG_CALL, exit_code_of
from std_daq.telescope.client.errors import HostsConfigError, MissingDataDirError
from std_daq.telescope.client.hosts import Host, hosts_of, read_document, target_of
from std_daq.telescope.client.requested_hosts import configured_hosts, data_dir_for, requested, the_only

NODE = {"ip_addr": "10.0.0.5", "data_dir": "/data"}


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("dome-1", "dome-1:50051"),
        ("dome-1.example", "dome-1.example:50051"),
        ("10.0.0.5", "10.0.0.5:50051"),
        ("10.0.0.5:50052", "10.0.0.5:50052"),
        ("::1", "[::1]:50051"),
        ("fe80::1%eth0", "[fe80::1%eth0]:50051"),
        ("[::1]", "[::1]:50051"),
        ("[::1]:9", "[::1]:9"),
        ("unix:/run/live.sock", "unix:/run/live.sock"),
        ("unix:///run/live.sock", "unix:///run/live.sock"),
        ("/run/live.sock", "unix:/run/live.sock"),
        ("dns:///dome-1:9", "dns:///dome-1:9"),
    ],
)
def test_address_becomes_what_grpc_connects_to(address: str, target: str) -> None:
    assert target_of(address) == target


@pytest.mark.parametrize(
    "address",
    ["", " ", "dome 1", "http://dome-1", "dome-1:", "dome-1:port", "dome-1:0", "dome-1:70000", "[::1", "a:b:c"],
)
def test_what_is_no_address_is_refused_with_examples(address: str) -> None:
    with pytest.raises(HostsConfigError, match=r"unix:/path|from 1 to 65535") as refused:
        target_of(address)
    assert exit_code_of(refused.value) == EXIT_WRONG_CALL


@pytest.mark.parametrize("as_given", [dict, Path, str], ids=["dict", "Path", "str"])
def test_configurations_are_documents_or_paths(as_given: Callable[[Any], Any], tmp_path: Path) -> None:
    documents = {"daq": {"daq_nodes": [NODE]}, "network": {"modules": [], "daq_nodes": [{"ip_addr": "10.0.0.5"}]}}
    given = []
    for name, document in documents.items():
        (tmp_path / name).write_text(json.dumps(document))
        given.append(document if as_given is dict else as_given(tmp_path / name))
    assert hosts_of(*given) == {"10.0.0.5": Host("10.0.0.5", "10.0.0.5:50051", "/data")}


@pytest.mark.parametrize(
    ("way", "target"),
    [
        ({}, "10.0.0.5:50051"),
        ({"grpc_port": 50060}, "10.0.0.5:50060"),
        ({"port_forwarding": {"status": False, "gw_ip": "gate", "port": 22, "grpc_port": 50070}}, "10.0.0.5:50051"),
        ({"port_forwarding": {"status": True, "gw_ip": "gate", "port": 22}}, "gate:50051"),  # `port` is that of SSH
        ({"port_forwarding": {"status": True, "gw_ip": "gate", "port": 22, "grpc_port": 50070}}, "gate:50070"),
        ({"grpc_port": 50060, "port_forwarding": {"status": True, "gw_ip": "gate"}}, "gate:50060"),
        ({"port_forwarding": {"status": True, "gw_ip": "::2"}}, "[::2]:50051"),
        ({"port_forwarding": None}, "10.0.0.5:50051"),
    ],
)
def test_port_and_gateway_come_from_the_network_configuration(way: dict[str, Any], target: str) -> None:
    network = {"daq_nodes": [{"ip_addr": "10.0.0.9", "grpc_port": 1}, {"ip_addr": "10.0.0.5"} | way]}
    assert hosts_of({"daq_nodes": [NODE]}, network)["10.0.0.5"].target == target


@pytest.mark.parametrize(
    ("daq", "network", "text"),
    [
        (None, None, "daq_config is missing"),
        ("", None, "daq_config is missing"),
        (17, None, "daq_config is int"),
        ([NODE], None, "daq_config is list"),
        ({}, None, "daq_nodes is empty"),
        ({"daq_nodes": []}, None, "daq_nodes is empty"),
        ({"daq_nodes": "10.0.0.5"}, None, "is no list"),
        ({"daq_nodes": [{"data_dir": "/"}]}, None, "has no ip_addr"),
        ({"daq_nodes": ["10.0.0.5"]}, None, "has no ip_addr"),
        ({"daq_nodes": [{"ip_addr": "a b"}]}, None, "is no address"),
        ({"daq_nodes": [NODE]}, 17, "network_config is int"),
        ({"daq_nodes": [NODE]}, {"daq_nodes": [NODE | {"grpc_port": "x"}]}, "port of 10.0.0.5"),
        ({"daq_nodes": [NODE]}, {"daq_nodes": [NODE | {"port_forwarding": {"status": True}}]}, "gw_ip is missing"),
    ],
)
def test_wrong_configuration_is_a_value_error_that_says_where(daq: Any, network: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        configured_hosts(daq, network, None, None)


def test_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.json") as missing:
        read_document(tmp_path / "none.json", "daq_config")
    assert exit_code_of(missing.value) == EXIT_WRONG_CALL
    (tmp_path / "text.json").write_text("no JSON")
    with pytest.raises(ValueError, match=r"text\.json: is not JSON"):
        read_document(str(tmp_path / "text.json"), "daq_config")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match=r"list\.json: is JSON, but no object"):
        read_document(str(tmp_path / "list.json"), "daq_config")


def test_one_host_is_given_by_address_and_port() -> None:
    assert configured_hosts(None, None, None, 50052) == {"localhost": Host("localhost", "localhost:50052")}
    assert configured_hosts(None, None, "dome-1", None)["dome-1"].target == "dome-1:50051"
    with pytest.raises(ValueError, match="exclude each other"):
        configured_hosts({"daq_nodes": [NODE]}, None, "dome-1", None)


def test_hosts_are_named_by_their_name_or_target_and_each_is_meant_once() -> None:
    known = hosts_of({"daq_nodes": [{"ip_addr": "a"}, {"ip_addr": "b"}]})
    assert [host.name for host in requested(None, known)] == ["a", "b"]
    assert [host.name for host in requested([], known)] == ["a", "b"]
    assert [host.name for host in requested("b", known)] == ["b"]
    assert [host.name for host in requested({"b:50051"}, known)] == ["b"]
    assert [host.name for host in requested(("a", "a:50051"), known)] == ["a"]
    with pytest.raises(ValueError, match=r"is no host of the configuration \(got 'c'\); these are: a, b"):
        requested(["a", "c"], known)
    with pytest.raises(ValueError, match="name one of them: a, b"):
        the_only(None, known)


@pytest.mark.parametrize("hosts", [True, 0.5, 7, [7], {"data_dir": "/"}])
def test_arguments_in_the_wrong_place_are_told(hosts: Any) -> None:
    with pytest.raises(TypeError, match="naming the other arguments"):
        requested(hosts, {})


def test_data_dir_comes_from_the_host_or_from_the_call() -> None:
    host = Host("a", "a:50051", "/of-the-host")
    assert data_dir_for(host, {"data_dir": "/of-the-call"}, own_first=True) == "/of-the-host"
    assert data_dir_for(host, {"data_dir": "/of-the-call"}, own_first=False) == "/of-the-call"
    assert data_dir_for(host, {}, own_first=False) == "/of-the-host"
    without = Host("a", "a:50051")
    assert data_dir_for(without, {"simulate_daq": True}, own_first=True) == ""
    with pytest.raises(MissingDataDirError, match="no data_dir is configured for a"):
        data_dir_for(without, {}, own_first=True)
    with pytest.raises(KeyError):
        data_dir_for(without, {}, own_first=True)
