"""The client of DaqData, for scripts and notebooks that look at telescopes.

::

    with DaqDataClient(host="dome-1") as client:
        for image in client.stream_images(update_interval_seconds=0.5, module_ids=[1]):
            print(image["image_array"].mean())
"""

from std_daq.telescope.client.access import Access
from std_daq.telescope.client.aio_daq_data_client import AioDaqDataClient
from std_daq.telescope.client.aio_image_stream import AioImageStream
from std_daq.telescope.client.daq_data_client import DaqDataClient
from std_daq.telescope.client.errors import DaqDataError, HostsAwayError, HostsConfigError
from std_daq.telescope.client.image_message import make_pano_image
from std_daq.telescope.client.image_stream import ImageStream
from std_daq.telescope.client.parsing import parse_pano_image
from std_daq.telescope.client.progress import HostProgress

__all__ = [
    "Access",
    "AioDaqDataClient",
    "AioImageStream",
    "DaqDataClient",
    "DaqDataError",
    "HostProgress",
    "HostsAwayError",
    "HostsConfigError",
    "ImageStream",
    "make_pano_image",
    "parse_pano_image",
]
