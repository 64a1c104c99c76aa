"""A detector in a notebook: photons in, photons or hits out, without any service.

::

    detector = PhotonDetector.load("tank.json")
    photons = isotropic(100_000, wavelength=420, seed=1)
    hits = detector.hits(photons, seed=7)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from std_daq.photons.backend import Channels, Job
from std_daq.photons.cpu import CpuBackend
from std_daq.photons.geometry.file import GeometryFile
from std_daq.photons.geometry.load import check_geometry, read_geometry
from std_daq.photons.geometry.records import Scene
from std_daq.photons.geometry.scene import channels_of, compile_scene
from std_daq.photons.records import PHOTON
from std_daq.photons.traces import tally, trace

if TYPE_CHECKING:
    from std_daq.photons.cuda.backend import CudaBackend


@dataclass(frozen=True, slots=True)
class PhotonDetector:
    """A geometry that is compiled for the engine.

    Parameters
    ----------
    scene
        Boundaries, materials and surfaces as arrays.
    channels
        Its light sensors.
    max_steps
        A photon that is alive after so many steps ends without a terminal bit.
    """

    scene: Scene
    channels: Channels
    max_steps: int

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a geometry file, in JSON or YAML.

        Raises
        ------
        ConfigError
            The file is wrong; the error has file, key, value and remedy.
        """
        return cls._compiled(read_geometry(path), Path(path).parent)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """Compile what a geometry file would hold; files of meshes are relative to the working directory."""
        return cls._compiled(check_geometry(document), None)

    @classmethod
    def _compiled(cls, geometry: GeometryFile, folder: Path | None) -> Self:
        return cls(compile_scene(geometry, folder), channels_of(geometry), geometry.physics.max_steps)

    def backend(self, *, seed: int = 0, n_threads: int | None = None) -> CpuBackend:
        """Return what propagates many jobs at a time."""
        return CpuBackend(self.scene, self.channels, seed=seed, max_steps=self.max_steps, n_threads=n_threads)

    def cuda_backend(self, *, seed: int = 0, device: int = 0) -> "CudaBackend":
        """Return what propagates many jobs at a time on an NVIDIA GPU, with the same result to the bit.

        Raises
        ------
        MissingExtraError, ArgumentError, DeviceError
            The extra ``cuda`` is not installed, or the GPU of this number is not there, or fails.
        """
        from std_daq.photons.cuda.device import check_device

        check_device(device)
        from std_daq.photons.cuda.backend import CudaBackend

        return CudaBackend(self.scene, self.channels, seed=seed, max_steps=self.max_steps, device=device)

    def propagate(
        self, photons: NDArray[np.void], *, seed: int = 0, key: int = 0, n_threads: int | None = None
    ) -> NDArray[np.void]:
        """Return the photons as they ended: where, when, and with which flags.

        Parameters
        ----------
        photons
            Records of `PHOTON`.
        seed, key
            Select the random numbers; the same two give the same photons again.
        n_threads
            None: as many as this process may use cores.
        """
        backend = self.backend(seed=seed, n_threads=n_threads)
        ended = [batch.photons() for batch in backend.propagate([Job(key, photons)])]
        if len(ended) == 1:
            return ended[0]
        return np.concatenate([np.empty(0, PHOTON), *ended])

    def hits(
        self, photons: NDArray[np.void], *, seed: int = 0, key: int = 0, n_threads: int | None = None
    ) -> NDArray[np.void]:
        """Return the hits, records of `HIT` in the order of their photons; parameters as of `propagate`."""
        return self.backend(seed=seed, n_threads=n_threads).simulate([Job(key, photons)])[0]

    def tally(self, photons: NDArray[np.void], *, seed: int = 0, key: int = 0) -> dict[str, int]:
        """Return how many photons each process happened to, as `std_daq.photons.traces.tally` does."""
        return tally(self.propagate(photons, seed=seed, key=key))

    def trace(
        self, photons: NDArray[np.void], numbers: Sequence[int], *, seed: int = 0, key: int = 0
    ) -> NDArray[np.void]:
        """Return the steps of chosen photons, records of `std_daq.photons.traces.STEP`.

        They are the steps that these photons take among all others, with the same seed and key.

        Parameters
        ----------
        numbers
            Indices of the chosen photons.
        """
        return trace(self.backend(seed=seed, n_threads=1), Job(key, photons), numbers)
