"""What both clients know of their hosts: the configuration, and which hosts a user means. Pure, but for files."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from std_daq.telemetry.logs import LEVELS, configure_logs
from std_daq.telescope.client.calls import SIMULATION
from std_daq.telescope.client.errors import HostsAwayError, HostsConfigError, MissingDataDirError
from std_daq.telescope.client.host_feed import Wish
from std_daq.telescope.client.hosts import DEFAULT_PORT, Document, Host, hosts_of, read_document, target_of
from std_daq.telescope.daqdata import daq_data_pb2 as messages

Hosts = str | Iterable[str] | None
"""Names of hosts; None or none at all stands for all that answer."""
MAX_STREAM_S = 36000.0
PING_S = 0.3
HEALTH_S = 5.0
ANSWER_S = 1.0


def configured_hosts(
    daq_config: Document | None, network_config: Document | None, host: str | None, port: int | None
) -> dict[str, Host]:
    """Return the hosts that a client is for: those of a configuration, or one address.

    Raises
    ------
    HostsConfigError
        There is neither, or both, or one is wrong.
    FileNotFoundError
        There is no such file.
    """
    if host is None and port is None:
        if daq_config is None:
            raise HostsConfigError("daq_config is missing", remedy="give a configuration, or host and port")
        return hosts_of(daq_config, network_config)
    if daq_config is not None or network_config is not None:
        raise HostsConfigError("a configuration and host or port exclude each other", remedy="give one of them")
    name = host or "localhost"
    return {name: Host(name, target_of(name, DEFAULT_PORT if port is None else port))}


def requested(hosts: Hosts, known: Mapping[str, Host]) -> list[Host]:
    """Return the hosts that a user names, by name or target; all for None and for none.

    Raises
    ------
    HostsConfigError
        One is not in the configuration.
    TypeError
        What was given are no names of hosts.
    """
    names = [hosts] if isinstance(hosts, str) else None if hosts is None else _as_names(hosts)
    if not names:
        return list(known.values())
    return list({host.name: host for host in (_host(name, known) for name in names)}.values())


def _as_names(hosts: Iterable[str]) -> list[str]:
    names = [] if not isinstance(hosts, Iterable) or isinstance(hosts, Mapping) else list(hosts)
    if (not names and hosts not in ([], (), set(), frozenset())) or not all(isinstance(name, str) for name in names):
        raise TypeError(
            f"hosts is {hosts!r}, not names of hosts; leave it out by naming the other arguments, "
            "as in stream_images(stream_movie_data=True)"
        )
    return names


def _host(name: str, known: Mapping[str, Host]) -> Host:
    found = known.get(name) or next((host for host in known.values() if host.target == name), None)
    if found is None:
        raise HostsConfigError(
            "is no host of the configuration", value=name, remedy=f"these are: {', '.join(known) or 'none'}"
        )
    return found


def the_only(host: str | None, known: Mapping[str, Host]) -> Host:
    """Return the host that is named, or the only one that there is; raises HostsConfigError if there are several."""
    hosts = requested(host, known)
    if len(hosts) != 1:
        raise HostsConfigError(f"there are {len(known)} hosts", remedy=f"name one of them: {', '.join(known)}")
    return hosts[0]


def check_away(asked: Iterable[Host], answers: Mapping[str, bool], *, all_must: bool) -> list[Host]:
    """Return the hosts that answer; raises HostsAwayError if none does or, with ``all_must``, if one does not."""
    asked = list(asked)
    alive = [host for host in asked if answers[host.name]]
    away = [f"{host.name} ({host.target})" for host in asked if not answers[host.name]]
    if not alive or (all_must and away):
        raise HostsAwayError(away, len(asked))
    return alive


def simulation_config(document: Document | None) -> dict[str, Any]:
    """Return a hp_io_config that starts a simulation; raises HostsConfigError if it does not."""
    config = dict(SIMULATION) if document is None else read_document(document, "hp_io_cfg")
    if config.get("simulate_daq") is not True:
        raise HostsConfigError("is not true", key="simulate_daq", value=config.get("simulate_daq"))
    return config


def data_dir_for(host: Host, config: Mapping[str, Any], *, own_first: bool) -> str:
    """Return the data_dir that InitHpIo is told.

    Parameters
    ----------
    host
        The host, for which daq_config may have one.
    config
        The hp_io_config, which may have one too.
    own_first
        Which of the two counts if there are both: the host's own, or that of ``config``.

    Raises
    ------
    MissingDataDirError
        There is none, and no simulation is asked for.
    """
    both = (host.data_dir, config.get("data_dir"))
    found = next((one for one in (both if own_first else both[::-1]) if one), "")
    if not found and not config.get("simulate_daq"):
        raise MissingDataDirError(
            f"no data_dir is configured for {host.name}", key="data_dir", remedy="add it to daq_config or hp_io_cfg"
        )
    return str(found)


def stream_wish(
    stream_movie_data: bool,
    stream_pulse_height_data: bool,
    update_interval_seconds: float,
    module_ids: Iterable[int],
    *,
    is_parsed: bool,
    reconnects: bool,
    end_s: float,
) -> Wish:
    """Return what a stream is to bring."""
    request = messages.StreamImagesRequest(
        stream_movie_data=stream_movie_data,
        stream_pulse_height_data=stream_pulse_height_data,
        update_interval_seconds=update_interval_seconds,
        module_ids=module_ids,
    )
    return Wish(request, is_parsed, reconnects, end_s)


def show_logs(level: int | str) -> None:
    """Show the log from this level on, unless the program has configured its logs itself."""
    if structlog.is_configured():
        return
    number = level if isinstance(level, int) else logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    configure_logs(next((name for name, least in LEVELS.items() if number <= least), "error"))
