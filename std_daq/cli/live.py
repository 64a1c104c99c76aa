"""Look at telescopes whose servers speak DaqData: which answer, what they offer, their status, and their images.

What is asked for is done in this order: --ping, --list-hosts, --reflect-services, --status, --init or --init-sim,
plots. The command std-live is short for std-daq live.
"""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from std_daq.cli.argument_types import natural_number, port_number, positive_integer, positive_number
from std_daq.cli.shared_options import add_json_option
from std_daq.errors import EXIT_DONE, EXIT_FAILED, ArgumentError, ResourceError

if TYPE_CHECKING:
    from std_daq.telescope.client import DaqDataClient

_PING_S = 2.0
_INIT_S = 15.0
_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
_ACTIONS = ("ping", "list_hosts", "reflect_services", "status", "init", "init_sim")
_PLOTS = ("plot_view", "plot_phdist", "plot_speed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    hosts = parser.add_argument_group("hosts")
    hosts.add_argument("daq_config", nargs="?", type=Path, metavar="DAQ_CONFIG", help="JSON file that names the hosts")
    hosts.add_argument(
        "network_config", nargs="?", type=Path, metavar="NETWORK_CONFIG", help="JSON file with ports and gateways"
    )
    hosts.add_argument(
        "--host",
        metavar="HOST",
        help="only this host of DAQ_CONFIG; without DAQ_CONFIG its address: a name, host:port, [ipv6]:port, unix:/path",
    )
    hosts.add_argument("--port", type=port_number, metavar="PORT", help="port of --host; by default 50051")
    hosts.add_argument(
        "--tls-ca", type=Path, metavar="PEM", help="authority of the servers' certificates; turns TLS on"
    )
    hosts.add_argument("--tls-cert", type=Path, metavar="PEM", help="certificate of this client")
    hosts.add_argument("--tls-key", type=Path, metavar="PEM", help="key of --tls-cert")
    hosts.add_argument("--tls-name", metavar="NAME", help="name in the server's certificate, if not that of the host")
    hosts.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token of the servers")
    actions = parser.add_argument_group("what to do")
    actions.add_argument("--ping", action="store_true", help="tell whether --host answers")
    actions.add_argument("--list-hosts", action="store_true", help="tell which hosts answer")
    actions.add_argument("--reflect-services", action="store_true", help="tell what hosts offer")
    actions.add_argument("--status", action="store_true", help="tell of sources, clients, modules and boards")
    init = actions.add_mutually_exclusive_group()
    init.add_argument("--init", type=Path, metavar="CFG", help="exchange the sources, as this hp_io_config says")
    init.add_argument("--init-sim", action="store_true", help="start the simulation of the servers")
    actions.add_argument("--plot-view", action="store_true", help="show the newest images of each module")
    actions.add_argument("--plot-phdist", action="store_true", help="show how often which pulse height comes")
    actions.add_argument("--plot-speed", action="store_true", help="tell each second what comes and what is skipped")
    plots = parser.add_argument_group("plots")
    plots.add_argument(
        "--refresh-period",
        type=positive_number,
        default=1.0,
        metavar="SECONDS",
        help="shortest time between two drawings; by default 1",
    )
    plots.add_argument(
        "--module-ids", type=natural_number, nargs="+", default=[], metavar="N", help="modules; by default all"
    )
    plots.add_argument("--png", type=Path, metavar="FILE", help="draw into this file, and show no window")
    plots.add_argument("--frames", type=positive_integer, metavar="N", help="end after N images")
    plots.add_argument("--seconds", type=positive_number, metavar="SECONDS", help="end after so many seconds")
    parser.add_argument("--log-level", choices=_LOG_LEVELS, default="warning", help="by default warning")
    add_json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for; returns the exit code."""
    _check(arguments)
    from std_daq.telemetry.logs import LEVELS, configure_logs

    configure_logs(arguments.log_level if arguments.log_level in LEVELS else "error")
    document: dict[str, Any] = {}
    with _open_client(arguments) as client:
        exit_code = _act(client, arguments, document)
        if exit_code == EXIT_DONE and _is_any(arguments, _PLOTS):
            from std_daq.cli.live_plots import show

            show(client, arguments, document)
    if arguments.json:
        print(json.dumps(document, indent=2))
    return exit_code


def _check(arguments: argparse.Namespace) -> None:
    from std_daq.cli.path_checks import check_input_file, check_tls_files

    if arguments.daq_config is None and arguments.host is None and arguments.port is None:
        raise ArgumentError("DAQ_CONFIG", "no host is named", remedy="give DAQ_CONFIG, or --host")
    if arguments.daq_config is not None and arguments.port is not None:
        raise ArgumentError("--port", "is for --host without DAQ_CONFIG", remedy="set grpc_port in NETWORK_CONFIG")
    if arguments.ping and arguments.host is None:
        raise ArgumentError("--ping", "needs --host", remedy="name one, or give --list-hosts")
    if not _is_any(arguments, _ACTIONS + _PLOTS):
        raise ArgumentError("--list-hosts", "nothing is to be done", remedy="give this option, or --plot-view")
    for name in ("daq_config", "network_config", "init", "token_file"):
        path = getattr(arguments, name)
        if path is not None:
            check_input_file(path, name.upper() if name.endswith("config") else f"--{name.replace('_', '-')}")
    check_tls_files(arguments)
    is_drawn = arguments.plot_view or arguments.plot_phdist
    if arguments.png is not None and not is_drawn:
        raise ArgumentError("--png", "there is nothing to draw", remedy="give --plot-view or --plot-phdist")
    if is_drawn:
        from std_daq.cli.live_plots import check_drawn_plots

        check_drawn_plots(arguments)


def _is_any(arguments: argparse.Namespace, names: tuple[str, ...]) -> bool:
    return any(getattr(arguments, name) for name in names)


def _open_client(arguments: argparse.Namespace) -> "DaqDataClient":
    from std_daq.telescope.client import Access, DaqDataClient

    access = Access(
        ca_file=arguments.tls_ca,
        cert_file=arguments.tls_cert,
        key_file=arguments.tls_key,
        server_name=arguments.tls_name,
        token_file=arguments.token_file,
    )
    stop = None if arguments.seconds is None else _After(arguments.seconds)
    if arguments.daq_config is None:
        return DaqDataClient(host=arguments.host, port=arguments.port, access=access, stop_event=stop)
    return DaqDataClient(arguments.daq_config, arguments.network_config, access=access, stop_event=stop)


class _After:
    """What ends streams after a while, counted from the first look at it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end_s = math.inf

    def is_set(self) -> bool:
        from time import monotonic

        if self._end_s == math.inf:
            self._end_s = monotonic() + self._seconds
        return monotonic() >= self._end_s


def _act(client: "DaqDataClient", arguments: argparse.Namespace, document: dict[str, Any]) -> int:
    as_text = not arguments.json
    if arguments.ping:
        document["ping"] = client.ping(arguments.host, timeout=_PING_S)
        if not document["ping"]:
            raise ResourceError(f"{arguments.host} ({client.hosts.get(arguments.host)}) does not answer")
        if as_text:
            print(f"{arguments.host} answers")
    if arguments.list_hosts and not _list_hosts(client, document, as_text=as_text):
        return EXIT_FAILED
    if arguments.reflect_services:
        document["services"] = client.reflect_services(arguments.host)
        if as_text:
            print(document["services"])
    if arguments.status:
        _tell_status(client, arguments.host, document, as_text=as_text)
    if arguments.init or arguments.init_sim:
        return _init(client, arguments, document)
    return EXIT_DONE


def _list_hosts(client: "DaqDataClient", document: dict[str, Any], *, as_text: bool) -> bool:
    targets, valid = client.hosts, client.get_valid_daq_hosts()
    document["hosts"] = {name: {"target": target, "answers": name in valid} for name, target in targets.items()}
    if as_text:
        for name, target in targets.items():
            print(f"{name}  {target}  {'answers' if name in valid else 'does not answer'}")
    return bool(valid)


def _tell_status(client: "DaqDataClient", host: str | None, document: dict[str, Any], *, as_text: bool) -> None:
    from std_daq.cli.live_status import print_status, status_document

    document["status"] = {}
    for name in client.validate_daq_hosts(host):
        status = client.status(name)
        document["status"][name] = status_document(status)
        if as_text:
            print_status(name, status)


def _init(client: "DaqDataClient", arguments: argparse.Namespace, document: dict[str, Any]) -> int:
    from std_daq.telescope.client.calls import SIMULATION

    config = dict(SIMULATION) if arguments.init_sim else arguments.init
    document["init"] = client.init_problems(arguments.host, config, _INIT_S)
    for name, problem in document["init"].items():
        if not arguments.json:
            print(f"{name}: {problem or 'initialised'}")
    return EXIT_FAILED if any(document["init"].values()) else EXIT_DONE
