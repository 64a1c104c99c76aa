"""The console: the detectors that it watches, and its parts that live as long as the service."""

import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from std_daq.config.platform import PlatformConfig
from std_daq.config.system import System, load_any_config, system_of_config
from std_daq.errors import ConfigError, MissingRingError
from std_daq.imaging.buffers.image_buffer import ImageBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.config.paths import image_buffer_path
from std_web.options import WebOptions
from std_web.problems import HttpProblem


class WatchedDetector:
    """One detector, telescope, chamber or farm that the console shows.

    Parameters
    ----------
    file
        The file of its configuration.
    config
        The configuration.

    Attributes
    ----------
    name
        Name of the detector.
    system
        ``images``, ``telescope``, ``ublox``, ``tpc`` or ``photons``, or a system that another package adds.
    """

    def __init__(self, file: Path, config: PlatformConfig) -> None:
        self.file = file
        self.config = config
        self.name = config.name
        self.kind: System[PlatformConfig] = system_of_config(config)
        self.system = self.kind.name
        self._ring: ImageBuffer | None = None
        self._lock = threading.Lock()

    def ring(self) -> ImageBuffer | None:
        """Return the ring of images that is in use; None while there is none, or if the system has no images.

        A ring that is returned stays readable as long as somebody refers to it. It may be called in any thread.

        Raises
        ------
        SharedMemoryError
            The file is not a ring of images, or permissions are missing.
        """
        if not isinstance(self.config, DetectorConfig):
            return None
        with self._lock:
            if self._ring is None or not self._ring.is_live:
                self._ring = None
                try:
                    ring = ImageBuffer.attach(image_buffer_path(self.config))
                except MissingRingError:
                    return None
                # Nobody closes it, as another thread may still read it.
                weakref.finalize(ring, ring.segment.close)
                self._ring = ring
            return self._ring

    def release(self) -> None:
        """Let go of the ring; it is unmapped when nobody reads it any more."""
        with self._lock:
            self._ring = None

    def replace_config(self, config: PlatformConfig) -> None:
        """Take another configuration of the same system and name."""
        with self._lock:
            self.config = config
            self._ring = None


class Console:
    """What the parts of the service share.

    Parameters
    ----------
    detectors
        The detectors, in the order of the command line; names are unique.
    options
        The section ``services.web``, with the options of the command line.

    Attributes
    ----------
    parts
        Entered when the service starts, and left when it ends, in the event loop of the service.
    """

    def __init__(self, detectors: Sequence[WatchedDetector], options: WebOptions | None = None) -> None:
        self.options = options or WebOptions()
        self.detectors: Mapping[str, WatchedDetector] = {detector.name: detector for detector in detectors}
        self.parts: list[AbstractAsyncContextManager[object]] = []

    @property
    def first(self) -> WatchedDetector:
        """The detector of the first configuration."""
        return next(iter(self.detectors.values()))

    def keep(self, part: AbstractAsyncContextManager[object]) -> None:
        """Add a part that lives as long as the service; call it while the application is made."""
        self.parts.append(part)

    def detector(self, name: str) -> WatchedDetector:
        """Return a detector.

        Raises
        ------
        HttpProblem
            There is none of this name.
        """
        if name not in self.detectors:
            known = ", ".join(self.detectors)
            raise HttpProblem(404, "Unknown detector", f"there is no detector '{name[:100]}' here; known: {known}")
        return self.detectors[name]


def watch(files: Sequence[Path]) -> list[WatchedDetector]:
    """Load the configurations of all detectors.

    Raises
    ------
    ConfigError
        A configuration is wrong, or two have the same name.
    """
    detectors: dict[str, WatchedDetector] = {}
    for file in files:
        config = load_any_config(file)
        if config.name in detectors:
            raise ConfigError(
                f"the configuration {detectors[config.name].file} has the same name",
                file=file,
                key="detector_name" if isinstance(config, DetectorConfig) else "name",
                value=config.name,
                remedy="one page shows detectors of different names",
            )
        detectors[config.name] = WatchedDetector(file.resolve(), config)
    return list(detectors.values())
