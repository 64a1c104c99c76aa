"""The ``std-daq`` command: imports the module of a subcommand and runs it; ``std-daq --help`` imports none of them."""

import sys
from collections.abc import Sequence

from std_daq.cli.command_set import CommandSet

# Each command is a module of this package that defines `add_arguments(parser)` and `run(arguments) -> exit code`.
COMMANDS = {
    "up": "run all services of a detector on this machine",
    "write": "write images or events to a file, and wait for the verdict",
    "kill": "end a running write request",
    "value": "send what another program has measured, to be stored with the run",
    "status": "show rates, losses, rings and the run",
    "view": "look at a live stream",
    "simulate": "send the packets of a simulated detector",
    "dump": "record UDP packets into capture files",
    "replay": "send recorded packets again",
    "validate": "check an image file, a merged file, a GRAW file or an index of PFF files",
    "analyse": "analyse the files of a chamber",
    "recover": "repair the file of a writer that was killed",
    "journal": "save or restore the journal of a writer agent",
    "join": "make one master file of the files of several servers",
    "doctor": "check this machine: kernel limits, memory, disk, broker, network",
    "config": "check, describe or import a configuration",
    "shm": "list or remove shared-memory rings",
    "prometheus": "write alerts and targets for Prometheus",
    "grafana": "write a dashboard for Grafana",
    "systemd": "write units of systemd for the services of this server",
    "broker-setup": "make users and rights for your own RabbitMQ",
    "certificates": "make certificates for TLS between servers",
    "pedestal": "make a pedestal file from dark images",
    "pff": "look into the files of a telescope, or copy them into HDF5",
    "event-view": "reset the histograms of a chamber's view, or choose its waveforms",
    "live": "look at telescopes live: hosts, status, images",
    "ublox": "configure a GNSS timing receiver, and show its messages",
    "simulate-f9t": "simulate a GNSS timing receiver",
}


_COMMAND_SET = CommandSet(
    prog="std-daq",
    description="Data acquisition for fast detectors: UDP packets to NeXus files.",
    commands=COMMANDS,
    module_prefix="std_daq.cli.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    return _COMMAND_SET.run(argv)


def live() -> int:
    """Run ``std-daq live``; this is the command ``std-live``."""
    return main(["live", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
