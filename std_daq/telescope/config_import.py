"""Imports the configuration of an existing server of DaqData into a ``live.json``. Pure."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from std_daq.config.load import check_config
from std_daq.config.wrong_input import fault_in_words
from std_daq.errors import ConfigError
from std_daq.telescope.config import LiveViewConfig

_UNIX = "unix://"
_KEY_OF_2025 = "read_status_pipe_name"
_LISTENS = {"host": "::", "port": 50051}  # as the existing server: at all addresses
_OWN_SIMULATION = "std-live-view chooses this by itself"
_FIXED = "std-live-view has no such limit to set"
_OF_SOCKETS = {"socket_path_template": "path_template", "data_products": "products", "read_timeout": "read_timeout_s"}
_WITHOUT_EFFECT = {
    "max_read_queue_size": "each client may be 64 images of each module behind",
    "max_client_update_interval_seconds": "any interval is accepted",
    "max_reader_timeouts": _FIXED,
    "max_reader_enqueue_timeouts": _FIXED,
    "max_reader_dequeue_timeouts": _FIXED,
    "shutdown_grace_period": "the service ends within 4 s",
    "hp_io_stop_timeout": "sources have 2 s to end",
    "valid_data_products": "all four products are known",
    "read_status_pipe_name": "the pipe is read_status_2",
    "log_dir": "the log goes to standard error",
    "grpc_logging": "std-live-view has one log",
}


@dataclass(slots=True)
class ImportedLiveView:
    """What an import has made.

    Attributes
    ----------
    document
        The ``live.json``.
    remarks
        Keys that have no effect, and what is left to do, a sentence each.
    """

    document: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def is_server_config(text: str, suffix: str) -> bool:
    """Return whether a text is the configuration of a server of DaqData: TOML, or JSON with its keys."""
    if suffix == ".toml":
        return True
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and bool(document.keys() & {"simulate_daq_cfg", "acquisition_methods"})


def import_server_config(text: str, suffix: str) -> ImportedLiveView:
    """Return the ``live.json`` of a ``daq_data_server_config.json`` or ``server.toml``; raises ConfigError."""
    try:
        document = tomllib.loads(text) if suffix == ".toml" else json.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"is no TOML: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(fault_in_words(error)) from None
    if suffix == ".toml":
        server = {key: value for key, value in document.get("server", {}).items() if key != "services"}
        document = server | document.get("daq_data", {})
    return _Import(document).result()


class _Import:
    def __init__(self, keys: Mapping[str, Any]) -> None:
        self._keys = dict(keys)
        self._imported = ImportedLiveView(dict(_LISTENS))

    def result(self) -> ImportedLiveView:
        live = self._imported.document
        if (port := self._take("port")) is not None:
            live["port"] = port
        if (socket := self._take("unix_domain_socket")) is not None:
            live["unix_socket"] = str(socket).removeprefix(_UNIX)
        if _KEY_OF_2025 in self._keys and self._take("reader_timeout") is not None:
            self._remark("reader_timeout", "the server of 2025 does not use it either")
        for old, new in (
            ("max_concurrent_rpcs", "max_streams"),
            ("max_reader_clients", "max_streams"),
            ("min_hp_io_update_interval_seconds", "min_update_interval_s"),
            ("reader_timeout", "no_data_timeout_s"),
        ):
            if (value := self._take(old)) is not None:
                live[new] = value
        self._start()
        if self._take("role") == "gateway":
            self._gateway()
        else:
            self._take("gateway")
            self._sources()
            self._simulation()
        for key in self._keys:
            self._remark(key, _WITHOUT_EFFECT.get(key, "std-live-view does not know it"))
        check_config(live, LiveViewConfig)
        return self._imported

    def _start(self) -> None:
        file = self._take("default_hp_io_config_file")
        if self._take("init_from_default"):
            self._imported.remarks.append(f"init_from_default: add a section start with what {file} says")

    def _gateway(self) -> None:
        given = dict(self._take("gateway") or {})
        names = {"daq_config_path": "daq_config", "network_config_path": "network_config", "edge_port": "edge_port"}
        self._imported.document["gateway"] = {new: given[old] for old, new in names.items() if given.get(old)}
        for key in ("acquisition_methods", "simulate_daq_cfg"):
            if self._take(key) is not None:
                self._remark(key, "a gateway has no sources")
        self._rest("gateway", {key: given[key] for key in given.keys() - names.keys()})

    def _sources(self) -> None:
        methods = dict(self._take("acquisition_methods") or {"uds": {"enabled": True}})
        sources: dict[str, Any] = {}
        uds = dict(methods.pop("uds", {}))
        if uds.pop("enabled", False):
            sources["unix_sockets"] = {new: uds.pop(old) for old, new in _OF_SOCKETS.items() if old in uds}
            self._rest("acquisition_methods.uds", uds)
        for name, method in (("filesystem_poll", "poll"), ("filesystem_pipe", "pipe")):
            if dict(methods.pop(name, {})).get("enabled"):
                sources["run_directory"] = {"method": method}
        self._rest("acquisition_methods", methods)
        self._imported.document["sources"] = sources

    def _simulation(self) -> None:
        given = dict(self._take("simulate_daq_cfg") or {})
        simulation: dict[str, Any] = {}
        for old, new in (("simulation_mode", "mode"), ("sim_module_ids", "module_ids")):
            if old in given:
                simulation[new] = given.pop(old)
        files = dict(given.pop("source_data", None) or {})
        for old, new in (("movie_pff_path", "movie_file"), ("ph_pff_path", "pulse_height_file")):
            if old in files:
                simulation[new] = files.pop(old)
        for strategy in dict(given.pop("strategies", None) or {}).values():
            for old, new in (("frames_per_pff", "frames_per_file"), ("frame_limit", "frame_limit")):
                if strategy.get(old, -1) > 0:
                    simulation[new] = strategy[old]
        for key in (*given, *(f"source_data.{key}" for key in files)):
            self._remark(f"simulate_daq_cfg.{key}", _OWN_SIMULATION)
        if simulation:
            self._imported.document["simulation"] = simulation
        if simulation.keys() & {"movie_file", "pulse_height_file"}:
            self._imported.remarks.append("simulation: its files are looked for beside live.json")

    def _rest(self, section: str, left: Mapping[str, Any]) -> None:
        for key in left:
            self._remark(f"{section}.{key}", "std-live-view does not know it")

    def _take(self, key: str) -> Any:
        return self._keys.pop(key, None)

    def _remark(self, key: str, why: str) -> None:
        self._imported.remarks.append(f"{key} has no effect: {why}")
