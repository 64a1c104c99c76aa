"""Fires optical photons in Geant4 and hands them over; a program: ADDRESS OUTPUT.json KIND.

KIND is ``plain``, ``weighted`` (the photons of the last event have the weight 2), or ``aborted`` (so is the first
event). The modules of ``examples/geant4_photons`` have to be on the path.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from tank import Tank  # type: ignore[import-not-found]
from without_data_sets import g4, remove_processes_that_need_data  # type: ignore[import-not-found]

from std_daq.errors import SimulationError
from std_daq.photons.geant4 import HandOver
from std_daq.photons.sim_client import SimClient

N_EVENTS = 3
N_PHOTONS = 200
WAVELENGTH = 420.0


class _Processes(g4.G4VModularPhysicsList):
    def __init__(self) -> None:
        super().__init__()
        self._constructors = (g4.G4EmStandardPhysics(), g4.G4OpticalPhysics())
        for constructor in self._constructors:
            self.RegisterPhysics(constructor)

    def ConstructProcess(self) -> None:  # noqa: N802 -- Geant4's name
        super().ConstructProcess()
        remove_processes_that_need_data()


class _Gun(g4.G4VUserPrimaryGeneratorAction):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self._gun = g4.G4ParticleGun(N_PHOTONS)
        self._gun.SetParticleDefinition(g4.G4OpticalPhoton.Definition())
        self._gun.SetParticleEnergy(1239.8419843320026e-6 / WAVELENGTH)
        self._gun.SetParticlePolarization(g4.G4ThreeVector(0, 1, 0))
        self._gun.SetParticlePosition(g4.G4ThreeVector(500, 0, 250))

    def GeneratePrimaries(self, event: Any) -> None:  # noqa: N802 -- Geant4's name
        number = event.GetEventID()
        if number == 1:  # an event without light
            return
        self._gun.SetParticleMomentumDirection(g4.G4ThreeVector(1, 0, 0))
        self._gun.SetParticleTime(10.0 * number)
        self._gun.GeneratePrimaryVertex(event)
        if self._kind == "weighted" and number == N_EVENTS - 1:
            event.GetPrimaryVertex().SetWeight(2.0)
        if self._kind == "aborted" and number == 0:
            event.SetEventAborted()


class _Actions(g4.G4VUserActionInitialization):
    def __init__(self, hand_over: HandOver, kind: str) -> None:
        super().__init__()
        self._hand_over = hand_over
        self._kind = kind

    def Build(self) -> None:  # noqa: N802 -- Geant4's name
        self._gun = _Gun(self._kind)
        self.SetUserAction(self._gun)
        self._hand_over.install(self)


def main() -> None:
    """Run the events; write number, hits, sensors, flags and first time of each, and the error that ended the run."""
    address, output, kind = sys.argv[1:]
    told: list[tuple[int, int, list[int], list[int], float]] = []
    error = None

    def on_hits(number: int, hits: Any) -> None:
        channels, flags = (np.unique(hits[key]).tolist() for key in ("channel", "flags"))
        told.append((number, len(hits), channels, flags, float(min(hits["time"], default=0.0))))

    manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.Serial)
    tank, processes = Tank(lambda *_: None), _Processes()
    manager.SetUserInitialization(tank)
    manager.SetUserInitialization(processes)
    try:
        with SimClient(address) as client, HandOver(client, on_hits, n_ahead=0) as hand_over:
            actions = _Actions(hand_over, kind)
            manager.SetUserInitialization(actions)
            manager.Initialize()
            manager.BeamOn(N_EVENTS)
    except SimulationError as raised:
        error = str(raised)
    Path(output).write_text(json.dumps({"events": told, "error": error}))


if __name__ == "__main__":
    main()
