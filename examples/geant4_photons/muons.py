"""A Geant4 application whose optical photons a photon simulation propagates.

Muons cross a tank and make Cherenkov and scintillation light. Usage, in this order:

    python muons.py --write-detector detector.gdml
    std-sim convert detector.gdml --sensors '^cathode' --output geometry.json
    std-sim-worker --standalone --geometry geometry.json
    python muons.py --events 10                      # in another terminal
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tank import Tank
from without_data_sets import g4, remove_processes_that_need_data

from std_daq.cli.path_checks import check_output_file
from std_daq.errors import ArgumentError, SimulationError
from std_daq.photons.geant4 import HandOver
from std_daq.photons.records import HIT
from std_daq.photons.sim_client import SimClient

ENERGY = 600 * g4.MeV


class Processes(g4.G4VModularPhysicsList):
    """Electromagnetic and optical processes."""

    def __init__(self) -> None:
        super().__init__()
        self._constructors = (g4.G4EmStandardPhysics(), g4.G4OpticalPhysics())
        for constructor in self._constructors:
            self.RegisterPhysics(constructor)

    def ConstructProcess(self) -> None:
        super().ConstructProcess()
        remove_processes_that_need_data()


class Muons(g4.G4VUserPrimaryGeneratorAction):
    """One muon an event, from above, a little off the axis."""

    def __init__(self) -> None:
        super().__init__()
        self._gun = g4.G4ParticleGun(1)
        self._gun.SetParticleDefinition(g4.G4MuonMinus.Definition())
        self._gun.SetParticleEnergy(ENERGY)
        self._gun.SetParticlePosition(g4.G4ThreeVector(150, 100, 990))
        self._gun.SetParticleMomentumDirection(g4.G4ThreeVector(0, 0.1, -1).unit())

    def GeneratePrimaries(self, event: Any) -> None:
        self._gun.GeneratePrimaryVertex(event)


class Actions(g4.G4VUserActionInitialization):
    """The muons, and the hand-over of their light: `install` is all that it takes.

    Parameters
    ----------
    hand_over
        Where photons go.
    is_compared
        Whether Geant4 propagates the photons as well.
    """

    def __init__(self, hand_over: HandOver, *, is_compared: bool) -> None:
        super().__init__()
        self._hand_over = hand_over
        self._is_compared = is_compared

    def Build(self) -> None:
        self._muons = Muons()
        self.SetUserAction(self._muons)
        if not self._is_compared:
            self._hand_over.install(self)
            return
        self._stacking, self._events = TakeAndGoOn(self._hand_over), SendAtEnd(self._hand_over)
        self.SetUserAction(self._stacking)
        self.SetUserAction(self._events)


class TakeAndGoOn(g4.G4UserStackingAction):
    """An own stacking action: notes the photons, and lets Geant4 propagate them as well."""

    def __init__(self, hand_over: HandOver) -> None:
        super().__init__()
        self._hand_over = hand_over

    def ClassifyNewTrack(self, track: Any) -> Any:
        self._hand_over.take(track)
        return g4.fUrgent


class SendAtEnd(g4.G4UserEventAction):
    """An own event action."""

    def __init__(self, hand_over: HandOver) -> None:
        super().__init__()
        self._hand_over = hand_over

    def EndOfEventAction(self, event: Any) -> None:
        self._hand_over.send(event.GetEventID())


def main() -> int:
    """Write the detector, or run events."""
    options = _options()
    found: list[tuple[int, NDArray[np.void]]] = []
    by_geant4: list[tuple[int, float]] = []

    def on_hits(event_id: int, hits: NDArray[np.void]) -> None:
        n_sensors = len(np.unique(hits["channel"]))
        print(f"event {event_id}: {len(hits)} hits in {n_sensors} sensors")
        found.append((event_id, hits))

    manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.Serial)
    g4.G4Random.setTheSeed(options.seed)
    tank, processes = Tank(lambda *one: by_geant4.append(one), velocity=options.velocity), Processes()
    manager.SetUserInitialization(tank)
    manager.SetUserInitialization(processes)
    with SimClient(options.address) as client, HandOver(client, on_hits) as hand_over:
        actions = Actions(hand_over, is_compared=options.compare)
        manager.SetUserInitialization(actions)
        manager.Initialize()
        g4.G4UImanager.GetUIpointer().ApplyCommand("/process/optical/boundary/setInvokeSD true")
        if options.write_detector:
            parser = g4.G4GDMLParser()
            parser.SetOutputFileOverwrite(True)
            parser.Write(str(options.write_detector), tank.world)
            return 0
        try:
            manager.BeamOn(options.events)
            hand_over.finish()
        except SimulationError as error:
            print(error, file=sys.stderr)
            return 1
    if options.compare:
        print(f"{sum(len(hits) for _, hits in found)} hits; {len(by_geant4)} by Geant4 itself, of the same photons")
    if options.output:
        _write(options.output, found, by_geant4)
    return 0


def _write(path: Path, found: list[tuple[int, NDArray[np.void]]], by_geant4: list[tuple[int, float]]) -> None:
    """Write the hits, and those by Geant4 itself, as arrays."""
    hits = np.concatenate([np.empty(0, HIT), *(hits for _, hits in found)])
    event_id = np.repeat([event_id for event_id, _ in found], [len(hits) for _, hits in found])
    channel, time = np.array(by_geant4, float).reshape(-1, 2).T
    np.savez(path, event_id=event_id, hits=hits, geant4_channel=channel.astype(np.int64), geant4_time=time)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-detector", type=Path, metavar="FILE", help="write the detector as GDML, and end")
    parser.add_argument("--events", type=int, default=10, metavar="N", help="muons; default %(default)s")
    parser.add_argument("--address", default="tcp://127.0.0.1:5555", help="of worker or router; default %(default)s")
    parser.add_argument("--compare", action="store_true", help="have Geant4 propagate the same photons as well: slow")
    parser.add_argument("--output", type=Path, metavar="FILE.npz", help="write the hits")
    parser.add_argument("--velocity", type=float, metavar="MM_PER_NS", help="group velocity of light in all materials")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of Geant4; default %(default)s")
    options = parser.parse_args()
    for option, path in (("--write-detector", options.write_detector), ("--output", options.output)):
        try:
            if path:
                check_output_file(path, option)
        except ArgumentError as error:
            parser.error(str(error))
    return options


if __name__ == "__main__":
    sys.exit(main())
