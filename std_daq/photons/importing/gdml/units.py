"""Units and constants of GDML, as Geant4 defines them: mm, ns, MeV, radian are 1."""

import math

_PREFIXES = {"": 1.0, "n": 1e-9, "u": 1e-6, "m": 1e-3, "c": 1e-2, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}

LENGTHS = {
    "fm": 1e-12, "pm": 1e-9, "angstrom": 1e-7, "Ang": 1e-7, "nm": 1e-6, "um": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3,
    "km": 1e6, "nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1e3,
    "kilometer": 1e6, "in": 25.4, "inch": 25.4, "ft": 304.8, "parsec": 3.0856775807e19, "pc": 3.0856775807e19,
}  # fmt: skip
ANGLES = {
    "rad": 1.0, "radian": 1.0, "mrad": 1e-3, "milliradian": 1e-3, "deg": math.pi / 180, "degree": math.pi / 180,
}  # fmt: skip
ENERGIES = {f"{prefix}eV": factor * 1e-6 for prefix, factor in _PREFIXES.items()} | {
    "electronvolt": 1e-6, "kiloelectronvolt": 1e-3, "megaelectronvolt": 1.0, "gigaelectronvolt": 1e3,
}  # fmt: skip
TIMES = {
    "ps": 1e-3, "ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9, "picosecond": 1e-3, "nanosecond": 1.0, "microsecond": 1e3,
    "millisecond": 1e6, "second": 1e9,
}  # fmt: skip
_AREAS_AND_VOLUMES = {
    f"{unit}{power}": LENGTHS[unit] ** power for unit in ("nm", "um", "mm", "cm", "m", "km") for power in (2, 3)
}
_CONSTANTS = {
    "pi": math.pi, "twopi": 2 * math.pi, "halfpi": math.pi / 2, "pi2": math.pi**2, "e": math.e,
    "c_light": 299.792458, "hbarc": 1.973269804593025e-10, "h_Planck": 4.135667696923859e-12, "perCent": 0.01,
    "perThousand": 1e-3, "perMillion": 1e-6,
    # No density or temperature matters to light; expressions may still hold their units.
    "g": 6.241509074460763e21, "kg": 6.241509074460763e24, "mg": 6.241509074460763e18, "mole": 1.0, "kelvin": 1.0,
    "K": 1.0, "tesla": 1e-3, "volt": 1e-6, "kilovolt": 1e-3, "pascal": 6.241509074460763e3,
    "atmosphere": 6.324209569697367e8, "hertz": 1e-9, "Hz": 1e-9,
}  # fmt: skip

CONSTANTS = _CONSTANTS | _AREAS_AND_VOLUMES | TIMES | ENERGIES | ANGLES | LENGTHS
"""What an expression may name without defining it."""
