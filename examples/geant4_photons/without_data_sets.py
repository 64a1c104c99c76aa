"""Lets Geant4 begin where its data sets are not installed: ``from without_data_sets import g4``.

geant4-pybind asks at its import whether it shall download them, and does not even ask where ``CI`` is "true". The
answer here is no; to install them, import geant4_pybind in a terminal once. Without them Geant4 wants three folders all
the same, and gets an empty one.
"""

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

_WANTED = ("G4ENSDFSTATEDATA", "G4LEDATA", "G4LEVELGAMMADATA")
_NEED_DATA = {"eBrem", "CoulombScat", "GammaGeneralProc"}
"""Processes of electrons and gammas that read cross sections from files."""


def _import_geant4() -> tuple[Any, bool]:
    standard_input, sys.stdin = sys.stdin, io.StringIO("n\n")
    is_ci = os.environ.pop("CI", None)
    try:
        import geant4_pybind
    finally:
        sys.stdin = standard_input
        if is_ci is not None:
            os.environ["CI"] = is_ci
    has_data = "G4LEDATA" in os.environ
    missing = [name for name in _WANTED if name not in os.environ]
    if missing:
        folder = Path(tempfile.mkdtemp(prefix="geant4-without-data-"))
        (folder / "ENSDFSTATE.dat").touch()
        os.environ.update(dict.fromkeys(missing, str(folder)))
    return geant4_pybind, has_data


g4, HAS_DATA = _import_geant4()


def remove_processes_that_need_data() -> None:
    """Take such processes from electrons and gammas; to be called at the end of ``ConstructProcess``."""
    if HAS_DATA:
        return
    for particle in (g4.G4Gamma, g4.G4Electron, g4.G4Positron):
        manager = particle.Definition().GetProcessManager()
        for process in list(manager.GetProcessList()):
            if process.GetProcessName() in _NEED_DATA:
                manager.RemoveProcess(process)
