"""ImageHub: for each detector with images, their source and the thread that reduces them."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from std_daq.imaging.config.model import DetectorConfig
from std_web.detectors import Console
from std_web.live.live_images import LiveImages
from std_web.live.renderer import Renderer
from std_web.problems import HttpProblem


@dataclass(frozen=True, slots=True)
class ImageDesk:
    """One detector: its images, and the one thread that reduces them, however many look at them."""

    source: LiveImages
    renderer: Renderer
    executor: ThreadPoolExecutor


class ImageHub:
    """The detectors with images; an asynchronous context manager that lives as long as the service.

    Parameters
    ----------
    console
        All detectors.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._desks: dict[str, ImageDesk] = {}
        for watched in console.detectors.values():
            if isinstance(watched.config, DetectorConfig):
                source = LiveImages(watched)
                executor = ThreadPoolExecutor(1, f"images-{watched.name}")
                self._desks[watched.name] = ImageDesk(source, Renderer(source), executor)

    def of(self, name: str) -> ImageDesk:
        """Return what reads the images of a detector.

        Raises
        ------
        HttpProblem
            There is no such detector, or it has no images.
        """
        watched = self._console.detector(name)
        if name not in self._desks:
            raise HttpProblem(404, "No images", f"'{name}' ({watched.system}) has no ring of images")
        return self._desks[name]

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the threads, each after the image that it is at."""
        for desk in self._desks.values():
            await asyncio.to_thread(desk.executor.shutdown, wait=True, cancel_futures=True)
            desk.renderer.forget()
            desk.source.forget()
