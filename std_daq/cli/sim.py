"""The ``std-sim`` command: imports the module of a subcommand and runs it; ``std-sim --help`` imports none of them."""

import sys
from collections.abc import Sequence

from std_daq.cli.command_set import CommandSet

# Each command is a module `sim_<name>` of this package that defines `add_arguments(parser)` and `run(arguments)`.
COMMANDS = {
    "ping": "ask whether a server of the photon simulation answers",
    "info": "list the light sensors of the detector",
    "run": "simulate the photons of a file, and write the hits",
    "bench": "measure how many events and photons a server simulates in a second",
    "keys": "make keys for encryption between clients, router and workers",
    "convert": "make a geometry file of a detector that RAT or Geant4 exported",
    "map": "make a map: how likely light from each voxel of a detector hits each channel",
    "display": "draw a detector, and hits in it",
}
_COMMAND_SET = CommandSet(
    prog="std-sim",
    description="Photon simulation: photons to a server, hits of light sensors back.",
    commands=COMMANDS,
    module_prefix="std_daq.cli.sim_",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    return _COMMAND_SET.run(argv)


if __name__ == "__main__":
    sys.exit(main())
