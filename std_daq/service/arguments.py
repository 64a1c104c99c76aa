"""The arguments that every service has."""

import argparse
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from std_daq.service.description import ServiceDescription
from std_daq.service.healthcheck import PORT_VARIABLE
from std_daq.telemetry.logs import LEVELS

_LAST_PORT = 65535


CONFIG_VARIABLE = "STD_DAQ_CONFIG"


def service_parser(description: ServiceDescription[Any]) -> argparse.ArgumentParser:
    """Return the parser of a service's command line: the options of every service, and its own."""
    parser = argparse.ArgumentParser(prog=description.command, description=description.summary, allow_abbrev=False)
    configured = os.environ.get(CONFIG_VARIABLE)
    parser.add_argument(
        "--config",
        required=not configured,
        type=Path,
        default=configured,
        metavar="FILE",
        help=f"the configuration, as detector.json; by default that of the environment's {CONFIG_VARIABLE}",
    )
    parser.add_argument("--log-level", choices=sorted(LEVELS), help="by default as the configuration says")
    parser.add_argument(
        "--metrics-port",
        type=_port,
        metavar="PORT",
        default=os.environ.get(PORT_VARIABLE) or None,
        help=f"port of /metrics and /health; 0 for any; by default that of the environment's {PORT_VARIABLE}",
    )
    parser.add_argument("--version", action="version", version=f"{description.command} {version('std-daq')}")
    description.add_arguments(parser)
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, 0 to {_LAST_PORT} (see also {PORT_VARIABLE})")
    return int(text)
