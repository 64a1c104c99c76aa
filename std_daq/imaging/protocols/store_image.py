"""StoreImage: the struct in the StoreStream with which the writer agent names an image of a run to a writer."""

from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA
from std_daq.recording.store_stream import store_entry_dtype

STORE_IMAGE = store_entry_dtype(IMAGE_METADATA)
assert STORE_IMAGE.itemsize == 216  # noqa: S101
