"""The life of a service: arguments, configuration, signals, health, main loop."""

from std_daq.service.arguments import service_parser
from std_daq.service.run import Service, ServiceContext, run_service

__all__ = ["Service", "ServiceContext", "run_service", "service_parser"]
