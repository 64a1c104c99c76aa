"""Contexts for services that run inside a test."""

import argparse
import threading
from typing import TypeVar

from prometheus_client import CollectorRegistry

from std_daq.config.paths import make_runtime_dir
from std_daq.config.platform import PlatformConfig
from std_daq.service.run import ServiceContext

Config = TypeVar("Config", bound=PlatformConfig)


def service_context(config: Config, instance: str = "test", **arguments: object) -> ServiceContext[Config]:
    """Return the context with which `run_service` would start a service; makes the runtime directory."""
    make_runtime_dir(config)
    return ServiceContext(config, argparse.Namespace(**arguments), instance, CollectorRegistry(), threading.Event())
