"""The bits of `std_daq.photons.flags` as plain numbers, which compiled code takes as constants."""

from std_daq.photons.flags import TERMINAL as _TERMINAL
from std_daq.photons.flags import Flag

NO_HIT = int(Flag.NO_HIT)
BULK_ABSORB = int(Flag.BULK_ABSORB)
SURFACE_DETECT = int(Flag.SURFACE_DETECT)
SURFACE_ABSORB = int(Flag.SURFACE_ABSORB)
RAYLEIGH_SCATTER = int(Flag.RAYLEIGH_SCATTER)
REFLECT_DIFFUSE = int(Flag.REFLECT_DIFFUSE)
REFLECT_SPECULAR = int(Flag.REFLECT_SPECULAR)
SURFACE_REEMIT = int(Flag.SURFACE_REEMIT)
SURFACE_TRANSMIT = int(Flag.SURFACE_TRANSMIT)
BULK_REEMIT = int(Flag.BULK_REEMIT)
NAN_ABORT = int(Flag.NAN_ABORT)
TERMINAL = int(_TERMINAL)
