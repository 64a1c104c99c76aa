"""The command-line arguments of a service."""

import argparse
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from std_daq.help_formatter import HelpFormatter
from std_daq.service.description import ServiceDescription
from std_daq.service.healthcheck import PORT_VARIABLE
from std_daq.telemetry.logs import LEVELS

_LAST_PORT = 65535


CONFIG_VARIABLE = "STD_DAQ_CONFIG"


def service_parser(description: ServiceDescription[Any]) -> argparse.ArgumentParser:
    """Return the parser for the command line of a service, with the common options and its own."""
    parser = argparse.ArgumentParser(
        prog=description.command,
        description=description.summary,
        allow_abbrev=False,
        formatter_class=HelpFormatter,
    )
    if description.has_further_configs:
        _add_config_option(parser, action=_FirstAndFurther)
        parser.set_defaults(further_configs=[])
    elif description.config_of is None:
        _add_config_option(parser)
    else:
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help="a configuration that this process belongs to; by default none"
        )
    parser.add_argument("--log-level", choices=sorted(LEVELS), help="detail of the logs; by default as configured")
    parser.add_argument(
        "--metrics-port",
        type=_port,
        metavar="PORT",
        default=os.environ.get(PORT_VARIABLE) or None,
        help=f"port of /metrics and /health, 0 for any free port; by default the port in {PORT_VARIABLE}",
    )
    parser.add_argument("--version", action="version", version=f"{description.command} {version('std-daq')}")
    description.add_arguments(parser)
    return parser


class _FirstAndFurther(argparse.Action):
    """Stores the first value of an option, and appends the others to ``further_configs``."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - the signature of every action
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        if not getattr(namespace, "has_config", False):
            namespace.has_config = True
            namespace.config = values
        else:
            namespace.further_configs = [*namespace.further_configs, values]


def _add_config_option(parser: argparse.ArgumentParser, action: type[argparse.Action] | str = "store") -> None:
    configured = os.environ.get(CONFIG_VARIABLE)
    parser.add_argument(
        "--config",
        action=action,
        required=not configured,
        type=Path,
        default=configured,
        metavar="FILE",
        help=f"the configuration, for example detector.json; by default the file in {CONFIG_VARIABLE}",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _LAST_PORT):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 0 to {_LAST_PORT} (see also {PORT_VARIABLE})")
    return int(text)
