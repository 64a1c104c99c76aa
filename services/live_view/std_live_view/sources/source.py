"""Source: what all sources of images have in common."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from std_daq.telescope.pff.product import Product
from std_live_view.live_frame import FrameKey, LiveFrame

Publish = Callable[[LiveFrame], None]
"""Hands a frame to all clients; it is called in the thread of the event loop."""


@dataclass(slots=True)
class SourceState:
    """How a source is.

    Attributes
    ----------
    n_frames
        Frames delivered.
    n_refused
        Frames, or pieces of frames, that could not be used.
    n_by_interval, n_by_slow_client
        Frames that another server has not sent to this one.
    problem
        Why no images come from it now; empty if some do, or may.
    damage
        What cannot be used of it, while all else comes.
    producer
        What is known of whoever makes the images, for when none come.
    """

    n_frames: int = 0
    n_refused: int = 0
    n_by_interval: int = 0
    n_by_slow_client: int = 0
    problem: str = ""
    damage: str = ""
    producer: str = ""


class Source(Protocol):
    """A source of images."""

    @property
    def name(self) -> str:
        """What it reads."""

    @property
    def state(self) -> SourceState:
        """How it is."""

    async def open(self) -> None:
        """Get ready; raises StdDaqError or OSError if that is not possible."""

    async def run(self) -> None:
        """Deliver frames until it is cancelled."""

    async def close(self) -> None:
        """Release everything."""


def telescope_frame(
    product: Product, module_id: int, header: Mapping[str, Any], pixels: bytes, file: str, frame_number: int
) -> LiveFrame:
    """Return the image of a telescope's frame."""
    return LiveFrame(
        FrameKey(module_id, product.name),
        is_pulse_height=product.is_pulse_height,
        header=header,
        pixels=np.frombuffer(pixels, product.dtype).reshape(product.shape),
        file=file,
        frame_number=frame_number,
        server_ns=time.time_ns(),
    )
