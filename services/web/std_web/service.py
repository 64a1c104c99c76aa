"""Description of web for the platform: its processes and its options."""

import argparse
from pathlib import Path

from std_daq.config.platform import PlatformConfig
from std_daq.service.description import Figure, Instance, ServiceDescription
from std_daq.service.host_access import HostAccess
from std_daq.service.registry import parse_service_options
from std_web.options import WebOptions, add_arguments

NAME = "web"


def _instances(config: PlatformConfig) -> list[Instance]:
    return [Instance(NAME)] if NAME in config.services else []


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_arguments(parser)


def _host_access(config: PlatformConfig) -> HostAccess:
    options = parse_service_options(config, NAME, WebOptions)
    # The configuration's own folder, where the versions before are kept.
    return HostAccess(writes=(Path(),), ports=(options.port,))


SERVICE = ServiceDescription(
    name=NAME,
    package="std_web",
    summary="Shows detectors in a browser, and answers programs over HTTP.",
    config=PlatformConfig,
    instances=_instances,
    has_further_configs=True,
    follows_deployments=False,
    is_broker_client=True,
    options=WebOptions,
    add_arguments=_add_arguments,
    host_access=_host_access,
    figures=(
        Figure("requests", "daq_web_requests_total"),
        Figure("websockets", "daq_web_websockets"),
        Figure("refused", "daq_web_refused_total"),
    ),
)
