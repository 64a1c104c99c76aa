"""The life of a service: arguments, configuration, signals, health, main loop."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from std_daq.service.description import Figure, Instance, ServiceDescription
    from std_daq.service.run import Service, ServiceContext, run_service

__all__ = ["Figure", "Instance", "Service", "ServiceContext", "ServiceDescription", "run_service"]

_MODULES = {
    "Figure": "std_daq.service.description",
    "Instance": "std_daq.service.description",
    "ServiceDescription": "std_daq.service.description",
    "Service": "std_daq.service.run",
    "ServiceContext": "std_daq.service.run",
    "run_service": "std_daq.service.run",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use: the health check of a container runs every few seconds, and needs none of them."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
