"""WebOptions: the section ``services.web`` of a configuration, and the options of the command that replace its keys."""

import argparse
from typing import Annotated, Self

from pydantic import Field, model_validator

from std_daq.config.bounds import Port
from std_daq.config.section import PathBesideFile, Section
from std_daq.errors import ConfigError

_HOST_NAME = r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"
DEFAULT_PORT = 5000
DEFAULT_ADDRESS = "127.0.0.1"


class WebOptions(Section):
    """Where the console listens, and who may do what."""

    address: str = Field(
        DEFAULT_ADDRESS, description="Address at which it listens; by default only programs of this machine reach it."
    )
    port: Port = Field(DEFAULT_PORT, description="TCP port; 0 takes a free one.")
    hosts: list[Annotated[str, Field(pattern=_HOST_NAME)]] = Field(
        default_factory=list,
        max_length=64,
        description="Names by which browsers call this machine, e.g. beamline.example.org. localhost and addresses in "
        "numbers are always taken; a request with any other name is refused.",
    )
    token_file: PathBesideFile | None = Field(
        None,
        description="File with the token that a request needs to change something; by default web-token in the runtime "
        "directory, which the service makes.",
    )
    anybody_may_change: bool = Field(False, description="Whether requests without a token may change something.")
    reading_needs_token: bool = Field(False, description="Whether requests that only read need the token as well.")
    max_connections: int = Field(1024, ge=8, le=65_536, description="TCP connections at once.")
    max_connections_of_client: int = Field(
        256, ge=4, le=65_536, description="TCP connections at once of one address; a proxy in front is one address."
    )
    max_websockets: int = Field(256, ge=1, le=65_536, description="WebSockets at once: live images, progress of runs.")
    max_websockets_of_client: int = Field(64, ge=1, le=65_536, description="WebSockets at once of one address.")
    simulation_host: Annotated[str, Field(pattern=_HOST_NAME)] | None = Field(
        None,
        description="Where the receivers are to which /simulation/start sends; by default on this machine, as the "
        "configuration says.",
    )
    simulation_rate_hz: float = Field(10.0, gt=0, le=1e6, description="Images per second that /simulation/start sends.")

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        contradiction = access_contradiction(self)
        if contradiction:
            raise ValueError(contradiction)
        return self


def access_contradiction(options: WebOptions) -> str:
    """Return what contradicts itself in who may do what; empty if nothing does."""
    if not options.anybody_may_change:
        return ""
    if options.reading_needs_token:
        return (
            "reading_needs_token asks for a token that anybody_may_change does without: who reads would need more "
            "than who changes; leave one of them out"
        )
    if options.token_file is not None:
        return "token_file is not used where anybody_may_change is set; leave one of them out"
    return ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument(
        "--port", type=_port, metavar="PORT", help=f"TCP port, 0 for any free one; by default {DEFAULT_PORT}"
    )
    parser.add_argument("--host", metavar="ADDRESS", help=f"address to listen at; by default {DEFAULT_ADDRESS}")
    token = parser.add_mutually_exclusive_group()
    token.add_argument(
        "--token-file",
        metavar="FILE",
        help="file with the token that changes need; by default web-token in the runtime directory, made at the start",
    )
    token.add_argument("--no-token", action="store_true", help="let everybody who reaches the port change something")


def options_of(arguments: argparse.Namespace, configured: WebOptions) -> WebOptions:
    """Return the options as configured, except for those that the command line gives.

    Raises
    ------
    ConfigError
        ``--no-token`` contradicts the configuration.
    """
    from pathlib import Path

    changes: dict[str, object] = {}
    if arguments.port is not None:
        changes["port"] = arguments.port
    if arguments.host is not None:
        changes["address"] = arguments.host
    if arguments.token_file is not None:
        changes |= {"token_file": Path(arguments.token_file), "anybody_may_change": False}
    if arguments.no_token:
        changes |= {"token_file": None, "anybody_may_change": True}
    options = configured.model_copy(update=changes)
    contradiction = access_contradiction(options)
    if contradiction:
        raise ConfigError(contradiction, key="services.web", remedy="or leave out --no-token")
    return options


def _port(text: str) -> int:
    from std_daq.number_arguments import integer

    value = integer(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"{value} is not a port number from 0 to 65535")
    return value
