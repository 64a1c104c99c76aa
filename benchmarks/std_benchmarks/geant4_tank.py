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
        surfaces = [document["surfaces"][one["surface"]] for one in document["parts"]["sensor"][1:]]
        self.is_opaque = all(_stopped(surface) is None for surface in surfaces)
        self._kept: list[Any] = []  # what Geant4 only borrows

    def _keep(self, thing: Any) -> Any:
        self._kept.append(thing)
        return thing

    def Construct(self) -> Any:  # noqa: N802 -- Geant4's name
        document, keep = self._document, self._keep
        wall, *inner = document["solids"]
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
        self._sensors(tank)
        return world_place

    def _sensors(self, tank: Any) -> None:
        """Place the sensors: a bulb with one or more cavities, each with a surface towards the bulb on both ways."""
        keep = self._keep
        bulb, *cavities = self._document["parts"]["sensor"]
        outside = self._volume(bulb)
        self._sensitive = keep(Eye(self._hits))
        g4.G4SDManager.GetSDMpointer().AddNewDetector(self._sensitive)
        inside = []
        for cavity in cavities:
            volume = self._volume(cavity)
            place = keep(g4.G4PVPlacement(None, g4.G4ThreeVector(), volume, "cavity", outside, False, 0))
            inside.append((place, self._surface(cavity["surface"])))
            if self.is_opaque:
                self.SetSensitiveDetector(volume, self._sensitive)
        array = self._document["arrays"][0]
        for i, (position, direction) in enumerate(zip(array["positions"], array["directions"], strict=True)):
            turned = keep(_turned_to(direction))
            placed = keep(g4.G4PVPlacement(turned, g4.G4ThreeVector(*position), outside, "sensor", tank, False, i))
            for place, surface in inside:
                keep(g4.G4LogicalBorderSurface("in", placed, place, surface))
                keep(g4.G4LogicalBorderSurface("out", place, placed, surface))

    def _volume(self, solid: dict[str, Any]) -> Any:
        shape = self._keep(_shape(solid))
        return self._keep(g4.G4LogicalVolume(shape, self._material(solid["inner"]), solid["inner"]))

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
        """Return a surface: of metal, or of a dielectric where it lets the rest of the light through."""
        given = self._document["surfaces"][name]
        table = self._keep(g4.G4MaterialPropertiesTable())
        stopped = _stopped(given)
        if stopped is not None:
            _add(table, "REFLECTIVITY", 1 - stopped)  # what follows the laws of Fresnel
            _add(table, "EFFICIENCY", given["detect"] / stopped)
            surface = self._keep(g4.G4OpticalSurface(name, g4.unified, g4.polished, g4.dielectric_dielectric))
            surface.SetMaterialPropertiesTable(table)
            return surface
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


class Ends(g4.G4UserTrackingAction):
    """Told by Geant4 of the end of each photon; those that end at a border and leave energy there are detected.

    A sensitive detector would be told of each step within a sensor that light can enter.
    """

    def __init__(self, hits: list[tuple[int, float]]) -> None:
        super().__init__()
        self._hits = hits

    def PostUserTrackingAction(self, track: Any) -> None:  # noqa: N802 -- Geant4's name
        step = track.GetStep()
        point = step.GetPostStepPoint()
        if step.GetTotalEnergyDeposit() > 0 and point.GetStepStatus() == g4.fGeomBoundary:
            begun = step.GetPreStepPoint().GetTouchable()
            is_cavity = begun.GetVolume().GetName() == "cavity"  # whose bulb has the number
            self._hits.append((begun.GetReplicaNumber(int(is_cavity)), point.GetGlobalTime()))


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

    def __init__(self, photons: NDArray[np.void], tank: Tank, hits: list[tuple[int, float]]) -> None:
        super().__init__()
        self._photons = photons
        self._tank = tank
        self._hits = hits

    def Build(self) -> None:  # noqa: N802 -- Geant4's name
        self._light = Light(self._photons)
        self.SetUserAction(self._light)
        if not self._tank.is_opaque:
            self._ends = Ends(self._hits)
            self.SetUserAction(self._ends)


def _shape(solid: dict[str, Any]) -> Any:
    """Return a ball or a body of rotation; of a profile that ends off the axis, Geant4 makes a flat end."""
    if solid["shape"] == "sphere":
        return g4.G4Orb(solid["inner"], solid["radius"])
    planes = [f'<zplane rmax="{r}" z="{z}"/>' for i, (r, z) in enumerate(solid["profile"]) if r > 0 or i > 0]
    return _polycone(solid.get("surface", "bulb"), "".join(planes))


def _polycone(name: str, planes: str) -> Any:
    """Return a polycone by way of a file: its constructors take arrays, and cannot be called from Python.

    Solids and volumes of all files are found by their names, so each has one of its own.
    """
    file = Path("solid.gdml")
    file.write_text(
        f"""<gdml><materials><material name="{name}" Z="8"><D value="1"/><atom value="16"/></material></materials>
        <solids><polycone name="{name}" deltaphi="360" aunit="deg" lunit="mm">{planes}</polycone></solids>
        <structure><volume name="{name}"><materialref ref="{name}"/><solidref ref="{name}"/></volume></structure>
        <setup name="Default" version="1.0"><world ref="{name}"/></setup></gdml>"""
    )
    parser = g4.G4GDMLParser()
    parser.Read(str(file), False)
    return parser.GetVolume(name).GetSolid()


def _turned_to(direction: list[float]) -> Any:
    """Return the rotation, in the sense of Geant4's placements, that turns +z to a direction."""
    rotation = g4.G4RotationMatrix()
    x, y, z = direction
    rotation.rotateY(np.arctan2(np.hypot(x, y), z))
    rotation.rotateZ(np.arctan2(y, x))
    return rotation.inverse()


def _stopped(surface: dict[str, Any]) -> float | None:
    """Return the constant share that a surface without reflection detects or absorbs, if it lets some light through."""
    shares = [surface.get(key, 0.0) for key in ("detect", "absorb")]
    is_plain = all(isinstance(share, float | int) for share in shares)
    if not is_plain or "reflect_diffuse" in surface or "reflect_specular" in surface or sum(shares) >= 1:
        return None
    return float(sum(shares))


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
    actions = Actions(np.load(photon_file), tank, hits)
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
