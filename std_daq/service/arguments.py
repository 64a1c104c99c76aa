"""The arguments that every service has."""

import argparse
import os
from importlib.metadata import version
from pathlib import Path

from std_daq.service.healthcheck import PORT_VARIABLE
from std_daq.telemetry.logs import LEVELS

_LAST_PORT = 65535


def service_parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with the options of every service; a service adds its own.

    Parameters
    ----------
    name
        The command, as ``std-udp-recv``.
    description
        One sentence.
    """
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the detector.json")
    parser.add_argument("--log-level", choices=sorted(LEVELS), help="by default as the configuration says")
    parser.add_argument(
        "--metrics-port",
        type=_port,
        metavar="PORT",
        default=os.environ.get(PORT_VARIABLE) or None,
        help=f"port of /metrics and /health; 0 for any; by default that of the environment's {PORT_VARIABLE}",
    )
    parser.add_argument("--version", action="version", version=f"{name} {version('std-daq')}")
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port, 0 to {_LAST_PORT} (see also {PORT_VARIABLE})")
    return int(text)
