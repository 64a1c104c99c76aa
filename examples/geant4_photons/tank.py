"""A detector in Geant4: a tank of water with 48 light sensors, and a ball of scintillator in its middle."""

from typing import Any

from without_data_sets import g4

RADIUS, HEIGHT = 1000.0, 2000.0
BALL = 400.0
SENSOR, GLASS = 101.0, 3.0
ROWS, COLUMNS = 4, 12
_ENERGY = [1.8e-6, 2.1e-6, 2.5e-6, 3.0e-6, 3.5e-6, 4.1e-6]  # MeV
_OPTICS = {
    "water": {"RINDEX": [1.331, 1.333, 1.336, 1.341, 1.349, 1.360], "ABSLENGTH": [2e3, 8e3, 5e4, 2e5, 3e5, 3e5]},
    "glass": {"RINDEX": [1.47, 1.475, 1.48, 1.49, 1.495, 1.50], "ABSLENGTH": [2e3, 2e3, 2e3, 2e3, 1e3, 10.0]},
    "vacuum": {"RINDEX": [1.0] * 6},
    "scintillator": {
        "RINDEX": [1.475, 1.48, 1.487, 1.503, 1.522, 1.54],
        "ABSLENGTH": [1e4] * 6,
        "SCINTILLATIONCOMPONENT1": [0.0, 0.1, 0.5, 1.0, 0.2, 0.0],
    },
}
_EFFICIENCY = [0.01, 0.03, 0.17, 0.25, 0.26, 0.18]


class Tank(g4.G4VUserDetectorConstruction):
    """Steel around water; in the water sensors of glass with a photocathode inside, and the scintillator.

    Parameters
    ----------
    on_detected
        Told of each photon that Geant4 itself detects: copy number of the sensor, and time in ns.
    velocity
        Group velocity of light in all materials, in mm/ns; None: as their indices say. With one velocity, times may be
        compared: Geant4's photon flies its first step behind a border with the velocity of the material before it.
    """

    def __init__(self, on_detected: Any, *, velocity: float | None = None) -> None:
        super().__init__()
        self._velocity = velocity
        self._on_detected = on_detected
        self._kept: list[Any] = []  # Geant4 only borrows what it is given

    def _keep(self, thing: Any) -> Any:
        self._kept.append(thing)
        return thing

    def Construct(self) -> Any:
        zero = g4.G4ThreeVector()
        steel = g4.G4NistManager.Instance().FindOrBuildMaterial("G4_Fe")  # opaque: it has no index
        hall = self._volume("hall", g4.G4Box("hall", 1.2 * RADIUS, 1.2 * RADIUS, 0.6 * HEIGHT), steel)
        water = self._volume(
            "water", g4.G4Tubs("water", 0, RADIUS, HEIGHT / 2, 0, 360 * g4.deg), self._material("water", "H2O")
        )
        ball = self._volume("ball", g4.G4Orb("ball", BALL), self._material("scintillator", "CH2"))
        bulb = self._volume("bulb", g4.G4Orb("bulb", SENSOR), self._material("glass", "SiO2"))
        cathode = self._volume("cathode", g4.G4Orb("cathode", SENSOR - GLASS), self._material("vacuum", "H2O", 1e-9))
        self._put("cathode", cathode, bulb, zero)
        self._put("ball", ball, water, zero)
        for row in range(ROWS):
            for column in range(COLUMNS):
                place = g4.G4ThreeVector(RADIUS - 1.5 * SENSOR, 0, ((row + 0.5) / ROWS - 0.5) * HEIGHT)
                place.rotateZ(360 * g4.deg * column / COLUMNS)
                self._put("bulb", bulb, water, place, row * COLUMNS + column)
        self._put("water", water, hall, zero)
        self._keep(g4.G4LogicalSkinSurface("photocathode", cathode, self._photocathode()))
        self.world = self._keep(g4.G4PVPlacement(None, zero, hall, "hall", None, False, 0))
        self._eye = self._keep(_Eye(self._on_detected))
        g4.G4SDManager.GetSDMpointer().AddNewDetector(self._eye)
        self.SetSensitiveDetector(cathode, self._eye)
        return self.world

    def _volume(self, name: str, solid: Any, material: Any) -> Any:
        return self._keep(g4.G4LogicalVolume(self._keep(solid), material, name))

    def _put(self, name: str, volume: Any, mother: Any, place: Any, copy_number: int = 0) -> None:
        self._keep(g4.G4PVPlacement(None, place, volume, name, mother, False, copy_number))

    def _material(self, name: str, formula: str, density: float = 1.0) -> Any:
        nist = g4.G4NistManager.Instance()
        material = self._keep(g4.G4Material(name, density * g4.g / g4.cm3, len(_ATOMS[formula])))
        for symbol, n_atoms in _ATOMS[formula].items():
            material.AddElement(nist.FindOrBuildElement(symbol), n_atoms)
        table = self._keep(g4.G4MaterialPropertiesTable())
        for key, values in _OPTICS[name].items():
            table.AddProperty(key, _numbers(_ENERGY), _numbers(values))
        if self._velocity is not None:
            table.RemoveProperty("GROUPVEL")
            table.AddProperty("GROUPVEL", _numbers(_ENERGY), _numbers([self._velocity] * len(_ENERGY)))
        if name == "scintillator":
            # A hundredth of what such a liquid gives, so that the example is quick.
            table.AddConstProperty("SCINTILLATIONYIELD", 100.0)
            table.AddConstProperty("SCINTILLATIONYIELD1", 1.0)
            table.AddConstProperty("RESOLUTIONSCALE", 1.0)
            table.AddConstProperty("SCINTILLATIONTIMECONSTANT1", 4.0)
        material.SetMaterialPropertiesTable(table)
        return material

    def _photocathode(self) -> Any:
        table = self._keep(g4.G4MaterialPropertiesTable())
        table.AddProperty("REFLECTIVITY", _numbers(_ENERGY), _numbers([0.0] * len(_ENERGY)))
        table.AddProperty("EFFICIENCY", _numbers(_ENERGY), _numbers(_EFFICIENCY))
        surface = self._keep(g4.G4OpticalSurface("photocathode", g4.unified, g4.polished, g4.dielectric_metal))
        surface.SetMaterialPropertiesTable(table)
        return surface


class _Eye(g4.G4VSensitiveDetector):
    """Told by Geant4 of each photon that the photocathode detects."""

    def __init__(self, on_detected: Any) -> None:
        super().__init__("eye")
        self._on_detected = on_detected

    def ProcessHits(self, step: Any, history: Any) -> bool:  # noqa: ARG002 -- Geant4's names
        if step.GetTrack().GetDefinition() == g4.G4OpticalPhoton.Definition():
            point = step.GetPostStepPoint()
            self._on_detected(point.GetTouchable().GetReplicaNumber(1), point.GetGlobalTime())
        return True


_ATOMS = {"H2O": {"H": 2, "O": 1}, "SiO2": {"Si": 1, "O": 2}, "CH2": {"C": 1, "H": 2}}


def _numbers(values: list[float]) -> Any:
    return g4.G4doubleVector(values)
