"""The Python interface for users' scripts and notebooks.

DaqClient is for runs, ImageReader for images, EventReader for events, DaqDataClient for telescopes,
UbloxControlClient for timing receivers.

::

    client = DaqClient("detector.json")
    run = client.write("/data/run1.h5", n_images=1000)
    report = run.wait()
    assert report.verdict == "complete"

    with ImageReader("detector.json") as images:
        for image in images:
            print(image.id, image.pixels.mean())
"""

from typing import TYPE_CHECKING, Any

from std_daq.client.daq_client import DaqClient
from std_daq.client.run import RequestedRun
from std_daq.client.run_group import GroupReport, RunGroup, write_together
from std_daq.client.status import DetectorStatus
from std_daq.extras import extras_explained
from std_daq.recording.requests import RunReport, StatusMessage, Verdict

if TYPE_CHECKING:
    from std_daq.imaging.buffers.image import Image
    from std_daq.imaging.buffers.image_reader import ImageReader, MissingImage
    from std_daq.telescope.client import AioDaqDataClient, DaqDataClient
    from std_daq.telescope.ubloxcontrol.client import AioUbloxControlClient, UbloxControlClient
    from std_daq.tpc.events.event import Event
    from std_daq.tpc.events.event_reader import EventReader, MissingEvent

__all__ = [
    "AioDaqDataClient",
    "AioUbloxControlClient",
    "DaqClient",
    "DaqDataClient",
    "DetectorStatus",
    "Event",
    "EventReader",
    "GroupReport",
    "Image",
    "ImageReader",
    "MissingEvent",
    "MissingImage",
    "RequestedRun",
    "RunGroup",
    "RunReport",
    "StatusMessage",
    "UbloxControlClient",
    "Verdict",
    "write_together",
]

# Imported on first use: commands import this package, and importing numpy and numba would slow down their start.
_MODULES = {
    "AioDaqDataClient": "std_daq.telescope.client",
    "AioUbloxControlClient": "std_daq.telescope.ubloxcontrol.client",
    "DaqDataClient": "std_daq.telescope.client",
    "Event": "std_daq.tpc.events.event",
    "EventReader": "std_daq.tpc.events.event_reader",
    "Image": "std_daq.imaging.buffers.image",
    "ImageReader": "std_daq.imaging.buffers.image_reader",
    "MissingEvent": "std_daq.tpc.events.event_reader",
    "MissingImage": "std_daq.imaging.buffers.image_reader",
    "UbloxControlClient": "std_daq.telescope.ubloxcontrol.client",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    with extras_explained():
        return getattr(import_module(_MODULES[name]), name)
