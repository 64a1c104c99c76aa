"""The arguments that every service has."""

import argparse
from importlib.metadata import version
from pathlib import Path

from std_daq.telemetry.logs import LEVELS


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
    parser.add_argument("--metrics-port", type=int, metavar="PORT", help="port of /metrics and /health; 0 for any")
    parser.add_argument("--version", action="version", version=f"{name} {version('std-daq')}")
    return parser
