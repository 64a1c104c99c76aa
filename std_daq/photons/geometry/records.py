"""Records of a compiled geometry: what the kernels read."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Kinds of primitives. The comment says which numbers of `Scene.shapes` a primitive has.
SPHERE = 0  # centre (3), radius
CYLINDER_SIDE = 1  # centre (3), axis (3), radius, half of the height
DISC = 2  # centre (3), normal (3), radius
RECTANGLE = 3  # centre (3), normal (3), two unit vectors along the sides (6), halves of both lengths
TRIANGLE = 4  # first corner (3), the edges to the second and to the third (6)
INSTANCE = 5  # rotation by rows, from the part to the detector (9), place (3); its `boundary` is the root of its tree

PRIMITIVE = np.dtype([("kind", "<i4"), ("numbers", "<i4"), ("boundary", "<i4"), ("channel", "<i4")], align=True)
"""A piece of a surface, or a part at its place.

``numbers`` is the index of its first number, ``channel`` is that of the light sensor or -1.
"""

BOUNDARY = np.dtype([("inner", "<i4"), ("outer", "<i4"), ("surface", "<i4")], align=True)
"""What is on both sides of a boundary: two materials, and the surface or -1."""

MATERIAL = np.dtype([("first_component", "<i4"), ("n_components", "<i4")], align=True)
"""The components of a material that re-emit."""

OPTICS = np.dtype([("index", "<f8"), ("slowness", "<f8"), ("absorption", "<f8"), ("scattering", "<f8")], align=True)
"""A material at one wavelength: refractive index, ns/mm, and two inverse lengths, 1/mm (absorption of all kinds)."""

COMPONENT = np.dtype([("absorption", "<i4"), ("probability", "<i4"), ("emission", "<i4")], align=True)
"""A component of a material: the indices of two curves, inverse length and probability, and of its emission."""

EMISSION = np.dtype(
    [("spectrum", "<i4"), ("n_spectrum", "<i4"), ("decay", "<i4"), ("n_decays", "<i4"), ("rise_time", "<f8")],
    align=True,
)
"""How light is emitted again: a range of `Scene.spectra` and a range of `Scene.decays`."""

# Models of surfaces. The comment says which curves follow ``first_curve``.
DEFAULT = 0  # absorb, detect, reflect_diffuse, reflect_specular: each is the sum of itself and those before
THIN_FILM = 1  # eta, k, efficiency, reflect_diffuse
WLS = 2  # absorb, reemit, reflect_diffuse, reflect_specular: the first is alone, the last two are sums with it
DICHROIC = 3  # reflect and transmit at the first angle, at the second, ...

SURFACE = np.dtype(
    [
        ("model", "<i4"),
        ("first_curve", "<i4"),
        ("emission", "<i4"),
        ("is_transmissive", "<i4"),
        ("scales_efficiency", "<i4"),
        ("first_angle", "<i4"),
        ("n_angles", "<i4"),
        ("thickness", "<f8"),
    ],
    align=True,
)
"""A surface; ``thickness`` in nm, angles in degrees."""

N_CHILDREN = 8
"""Children of a node of a tree."""

NODE_BOXES = 6 * N_CHILDREN
"""Numbers of a node: the lower x of all children, the lower y, the lower z, the upper x, the upper y, the upper z."""

LEAF_BITS = 4
"""A child is a node if it is not negative. Otherwise -(child + 1) is a leaf: its first primitive << 4 | how many."""

MAX_LEAF = 8
"""Primitives of a leaf, at most."""

MAX_STACK = 256
"""Entries of the stack on which a kernel keeps the nodes that it has still to visit."""


class Scene(NamedTuple):
    """A compiled detector.

    Parameters
    ----------
    bounds
        The box of everything: lower x, y, z, upper x, y, z.
    boxes, children
        The nodes of all trees, first those of the detector's.
    primitives, shapes, boundaries
        What the leaves hold, its numbers, and what is on both sides.
    grid, first_at
        Wavelengths in nm, and the index of each whole nm.
    optics
        Of each material at each wavelength.
    materials, components, emissions, surfaces
        How light is absorbed, emitted again and reflected.
    curves
        Values over the grid, shape (curves, wavelengths).
    spectra, decays
        Wavelength, or time in ns, and the share up to it, shape (n, 2).
    angles
        Of dichroic surfaces, in degrees.
    """

    bounds: NDArray[np.float64]
    boxes: NDArray[np.float32]
    children: NDArray[np.int32]
    primitives: NDArray[np.void]
    shapes: NDArray[np.float64]
    boundaries: NDArray[np.void]
    grid: NDArray[np.float64]
    first_at: NDArray[np.int32]
    optics: NDArray[np.void]
    materials: NDArray[np.void]
    components: NDArray[np.void]
    emissions: NDArray[np.void]
    surfaces: NDArray[np.void]
    curves: NDArray[np.float64]
    spectra: NDArray[np.float64]
    decays: NDArray[np.float64]
    angles: NDArray[np.float64]
