"""The history of a photon: bits of ``flags``."""

from enum import IntFlag


class Flag(IntFlag):
    """What happened to a photon; the bits of `TERMINAL` end it."""

    NO_HIT = 1 << 0
    BULK_ABSORB = 1 << 1
    SURFACE_DETECT = 1 << 2
    SURFACE_ABSORB = 1 << 3
    RAYLEIGH_SCATTER = 1 << 4
    REFLECT_DIFFUSE = 1 << 5
    REFLECT_SPECULAR = 1 << 6
    SURFACE_REEMIT = 1 << 7
    SURFACE_TRANSMIT = 1 << 8
    BULK_REEMIT = 1 << 9
    CHERENKOV = 1 << 10
    SCINTILLATION = 1 << 11
    NAN_ABORT = 1 << 31


TERMINAL = Flag.NO_HIT | Flag.BULK_ABSORB | Flag.SURFACE_DETECT | Flag.SURFACE_ABSORB | Flag.NAN_ABORT
