"""Runs Geant4 once: ``geant4_tank.py TANK.json PHOTONS.npy HITS.npz SEED``; see `std_benchmarks.geant4_photons`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import geant4_pybind as g4
import numpy as np
from numpy.typing import NDArray

HC = 1239.8419843320026e-6  # MeV nm
LIGHT_SPEED = 299.792458  # mm/ns
_STEP_NM = 0.5


class Tank(g4.G4VUserDetectorConstruction):
    """Water, sensors of two balls each, and what stands in the water."""

    def __init__(self, document: dict[str, Any], hits: list[tuple[int, float]]) -> None:
        super().__init__()
        self._document = document
        self._hits = hits
        self._kept: list[Any] = []  # what Geant4 only borrows

    def _keep(self, thing: Any) -> Any:
        self._kept.append(thing)
        return thing

    def Construct(self) -> Any:  # noqa: N802 -- Geant4's name
        document, keep = self._document, self._keep
        wall, *inner = document["solids"]
        glass, cathode = document["parts"]["sensor"]
        water = self._material(wall["inner"])
        reach = 1.2 * max(wall["radius"], wall["height"])
        world = keep(g4.G4LogicalVolume(keep(g4.G4Box("world", reach, reach, reach)), water, "world"))
        world_place = keep(g4.G4PVPlacement(None, g4.G4ThreeVector(), world, "world", None, False, 0))
        tube = keep(g4.G4Tubs("water", 0, wall["radius"], wall["height"] / 2, 0, 2 * np.pi))
        tank = keep(g4.G4LogicalVolume(tube, water, "water"))
        tank_place = keep(g4.G4PVPlacement(None, g4.G4ThreeVector(), tank, "water", world, False, 0))
        keep(g4.G4LogicalBorderSurface("wall", tank_place, world_place, self._surface(wall["surface"])))
        for solid in inner:
            self._ball(solid, solid["inner"], tank)
        outside = self._volume(glass)
        inside = self._volume(cathode)
        keep(g4.G4PVPlacement(None, g4.G4ThreeVector(), inside, "cathode", outside, False, 0))
        keep(g4.G4LogicalSkinSurface("cathode", inside, self._surface(cathode["surface"])))
        for i, place in enumerate(document["arrays"][0]["positions"]):
            keep(g4.G4PVPlacement(None, g4.G4ThreeVector(*place), outside, "sensor", tank, False, i))
        self._sensitive = keep(Eye(self._hits))
        g4.G4SDManager.GetSDMpointer().AddNewDetector(self._sensitive)
        self.SetSensitiveDetector(inside, self._sensitive)
        return world_place

    def _volume(self, solid: dict[str, Any]) -> Any:
        ball = self._keep(g4.G4Orb(solid["inner"], solid["radius"]))
        return self._keep(g4.G4LogicalVolume(ball, self._material(solid["inner"]), solid["inner"]))

    def _ball(self, solid: dict[str, Any], name: str, mother: Any) -> None:
        self._keep(g4.G4PVPlacement(None, g4.G4ThreeVector(), self._volume(solid), name, mother, False, 0))

    def _material(self, name: str) -> Any:
        known = {made.GetName(): made for made in self._kept if isinstance(made, g4.G4Material)}
        if name in known:
            return known[name]
        given = self._document["materials"][name]
        material = self._keep(g4.G4Material(name, 1.0, 1.008, 1.0 * g4.g / g4.cm3))
        table = self._keep(g4.G4MaterialPropertiesTable())
        _add(table, "RINDEX", given.get("refractive_index", 1.0))
        if given.get("group_index") is not None:
            table.RemoveProperty("GROUPVEL")
            _add(table, "GROUPVEL", LIGHT_SPEED / given["group_index"])
        if given.get("scattering_length") is not None:
            _add(table, "RAYLEIGH", given["scattering_length"])
        for component in given.get("reemission", []):
            share = component["probability"]
            _add(table, "WLSABSLENGTH", _scaled(component["absorption_length"], 1 / share))
            _add(table, "ABSLENGTH", _scaled(component["absorption_length"], 1 / (1 - share)))
            w = np.arange(min(component["spectrum"]["wavelength"]), max(component["spectrum"]["wavelength"]), _STEP_NM)
            # Per nm here, per MeV there.
            light = np.interp(w, component["spectrum"]["wavelength"], component["spectrum"]["value"]) * w**2
            table.AddProperty("WLSCOMPONENT", _vector(HC / w[::-1]), _vector(light[::-1] / light.max()), True)
            table.AddConstProperty("WLSTIMECONSTANT", component["decay_times"][0][0])
        if given.get("absorption_length") is not None:
            _add(table, "ABSLENGTH", given["absorption_length"])
        material.SetMaterialPropertiesTable(table)
        return material

    def _surface(self, name: str) -> Any:
        given = self._document["surfaces"][name]
        table = self._keep(g4.G4MaterialPropertiesTable())
        diffuse, specular = given.get("reflect_diffuse", 0), given.get("reflect_specular", 0)
        reflected = diffuse + specular
        _add(table, "REFLECTIVITY", reflected)
        _add(table, "EFFICIENCY", _scaled(given.get("detect", 0.0), 1 / (1 - reflected)))
        for key, value in (
            ("SPECULARSPIKECONSTANT", specular / reflected if reflected else 0.0),
            ("SPECULARLOBECONSTANT", 0.0),
            ("BACKSCATTERCONSTANT", 0.0),
        ):
            _add(table, key, value)
        surface = self._keep(g4.G4OpticalSurface(name, g4.unified, g4.ground, g4.dielectric_metal, 0.0))
        surface.SetSigmaAlpha(0.0)
        surface.SetMaterialPropertiesTable(table)
        return surface


class Processes(g4.G4VModularPhysicsList):
    """Optical processes, and the particles that Geant4 takes for granted."""

    def __init__(self) -> None:
        super().__init__()
        self._optical = g4.G4OpticalPhysics()
        self.RegisterPhysics(self._optical)

    def ConstructParticle(self) -> None:  # noqa: N802 -- Geant4's name
        for particle in (g4.G4OpticalPhoton, g4.G4Gamma, g4.G4Electron, g4.G4Positron):
            particle.Definition()
        super().ConstructParticle()


class Eye(g4.G4VSensitiveDetector):
    """Told by Geant4 of each photon that a surface detects."""

    def __init__(self, hits: list[tuple[int, float]]) -> None:
        super().__init__("eye")
        self._hits = hits

    def ProcessHits(self, step: Any, history: Any) -> bool:  # noqa: ARG002, N802 -- Geant4's names
        point = step.GetPostStepPoint()
        touched = point.GetTouchable()
        self._hits.append((touched.GetReplicaNumber(1), point.GetGlobalTime()))
        return True


class Light(g4.G4VUserPrimaryGeneratorAction):
    """Fires all photons in one event."""

    def __init__(self, photons: NDArray[np.void]) -> None:
        super().__init__()
        self._rows = photons.tolist()
        self._gun = g4.G4ParticleGun(1)
        self._gun.SetParticleDefinition(g4.G4OpticalPhoton.Definition())

    def GeneratePrimaries(self, event: Any) -> None:  # noqa: N802 -- Geant4's name
        gun, vector = self._gun, g4.G4ThreeVector
        for x, y, z, dx, dy, dz, ex, ey, ez, wavelength, at, _ in self._rows:
            gun.SetParticlePosition(vector(x, y, z))
            gun.SetParticleMomentumDirection(vector(dx, dy, dz))
            gun.SetParticlePolarization(vector(ex, ey, ez))
            gun.SetParticleEnergy(HC / wavelength)
            gun.SetParticleTime(at)
            gun.GeneratePrimaryVertex(event)


class Actions(g4.G4VUserActionInitialization):
    """Gives Geant4 the light."""

    def __init__(self, photons: NDArray[np.void]) -> None:
        super().__init__()
        self._photons = photons

    def Build(self) -> None:  # noqa: N802 -- Geant4's name
        self._light = Light(self._photons)
        self.SetUserAction(self._light)


def _vector(values: NDArray[np.float64]) -> Any:
    return g4.G4doubleVector([float(value) for value in values])


def _scaled(table: Any, factor: float) -> Any:
    if isinstance(table, dict):
        return {**table, "value": [value * factor for value in table["value"]]}
    return table * factor


def _add(table: Any, key: str, given: Any) -> None:
    w = np.arange(250, 801, _STEP_NM)
    values = np.interp(w, given["wavelength"], given["value"]) if isinstance(given, dict) else np.full(len(w), given)
    table.AddProperty(key, _vector(HC / w[::-1]), _vector(values[::-1]), False)


def main() -> None:
    """Read tank and photons, run one event, write the hits."""
    tank_file, photon_file, result, seed = sys.argv[1:]
    hits: list[tuple[int, float]] = []
    manager = g4.G4RunManagerFactory.CreateRunManager(g4.G4RunManagerType.Serial)
    g4.G4Random.setTheSeed(int(seed))
    tank = Tank(json.loads(Path(tank_file).read_text()), hits)
    physics = Processes()
    actions = Actions(np.load(photon_file))
    manager.SetUserInitialization(tank)
    manager.SetUserInitialization(physics)
    manager.SetUserInitialization(actions)
    manager.Initialize()
    for command in ("/process/optical/boundary/setInvokeSD true", "/process/optical/wls/setTimeProfile exponential"):
        g4.G4UImanager.GetUIpointer().ApplyCommand(command)
    began = time.process_time()
    manager.BeamOn(1)
    cpu_s = time.process_time() - began
    channel, at = np.array(hits, float).reshape(-1, 2).T
    np.savez(result, channel=channel.astype(np.int64), time=at, cpu_s=cpu_s)


if __name__ == "__main__":
    main()
