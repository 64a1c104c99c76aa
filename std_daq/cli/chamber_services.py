"""Runs builder, analysis and view of a chamber, without a broker and without recording."""

import json
import tempfile
from pathlib import Path
from typing import Any

READY_TIMEOUT_S = 180.0
PACKAGES = {
    "event-builder": "std_event_builder",
    "event-analysis": "std_event_analysis",
    "event-view": "std_event_view",
}


def run_chamber(chamber: dict[str, Any] | Path, viewer: str) -> int:
    """Run builder, analysis and view until SIGINT or SIGTERM; prints ``ready`` when all are ready.

    Parameters
    ----------
    chamber
        What a ``tpc.json`` would hold, with absolute paths, or the path of one.
    viewer
        ``host:port`` of a Rerun viewer; it may come and go.

    Raises
    ------
    ConfigError
        The configuration is wrong.
    ResourceError
        A service ended before all were ready.
    """
    if isinstance(chamber, Path):
        _run(chamber, viewer)
        return 0
    with tempfile.TemporaryDirectory(prefix="std-daq-") as folder:
        file = Path(folder) / "tpc.json"
        file.write_text(json.dumps(chamber))
        _run(file, viewer)
    return 0


def _run(file: Path, viewer: str) -> None:
    from std_daq.cli.interrupt import StopSignals
    from std_daq.cli.service_group import run_services
    from std_daq.cli.system_rings import SystemRings
    from std_daq.config.paths import make_runtime_dir
    from std_daq.service.supervisor import ServiceCommand
    from std_daq.telemetry.logs import configure_logs
    from std_daq.tpc.config import load_tpc_config
    from std_daq.tpc.pads.load import load_pads

    stop = StopSignals().event
    config = load_tpc_config(file)
    load_pads(config.pads)  # a wrong pad plane is told once, before anything starts
    configure_logs(config.log_level, service="run-conduit")
    make_runtime_dir(config)
    options = {"event-view": ("--viewer", viewer)}
    commands = [
        ServiceCommand(name, package, ("--config", str(file), *options.get(name, ())))
        for name, package in PACKAGES.items()
    ]
    with SystemRings(config):
        run_services(config, commands, stop, ready_timeout_s=READY_TIMEOUT_S, environment={})
