"""FileDocuments: the documents of the files that the runs of a scan write."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
from bluesky.protocols import StreamAsset
from event_model import DataKey
from ophyd_async.core import (
    SignalR,
    StreamableDataProvider,
    StreamResourceDataProvider,
    StreamResourceInfo,
    soft_signal_r_and_setter,
)

from std_daq.imaging.files import layout

MIME_TYPE = "application/x-hdf5"
# Datasets with one value for each image, by the suffix of their data key.
_COLUMNS = {"image_id": layout.IMAGE_ID, "timestamp_ns": layout.TIMESTAMP_NS, "status": layout.STATUS}


@dataclass
class _FileOfRun:
    provider: StreamResourceDataProvider
    n_images: int = 0


class FileDocuments(StreamableDataProvider):
    """Describes the images of a scan, and tells in which rows of which files they are.

    Each run has its own file, and each file a StreamResource for each of its datasets. Rows are counted in a file,
    images over all files.

    Parameters
    ----------
    data_key
        Name of the data key of the images; the other keys begin with it.
    source
        Where the images come from, for the descriptor.
    shape
        Height and width of an image.
    dtype
        Type of its pixels.
    """

    def __init__(self, data_key: str, source: str, shape: tuple[int, int], dtype: np.dtype[np.generic]) -> None:
        pixels = StreamResourceInfo(
            data_key=data_key,
            shape=shape,
            chunk_shape=(1, *shape),
            dtype_numpy=dtype.str,
            parameters={"dataset": layout.PIXELS},
            source=source,
        )
        columns = [
            StreamResourceInfo(
                data_key=f"{data_key}-{suffix}",
                shape=(),
                chunk_shape=(layout.COLUMN_CHUNK_ROWS,),
                dtype_numpy=layout.dtype_of(path).str,
                parameters={"dataset": path},
                source=source,
            )
            for suffix, path in _COLUMNS.items()
        ]
        self._resources: Sequence[StreamResourceInfo] = [pixels, *columns]
        self._files: list[_FileOfRun] = []
        self.collections_written_signal: SignalR[int]
        self.collections_written_signal, self._set_written = soft_signal_r_and_setter(int)
        self._description = self._provider("")

    def begin_file(self, uri: str) -> None:
        """Add the file of a run that begins."""
        self._files.append(_FileOfRun(self._provider(uri)))

    def note_written(self, n_images: int) -> None:
        """Note how many images the present run has written."""
        present = self._files[-1]
        if n_images > present.n_images:
            present.n_images = n_images
            self._tell()

    def forget_file(self) -> None:
        """Forget the file of the present run, of which no document has been made: the run was interrupted."""
        if self._files and not self._files[-1].provider.last_emitted:
            del self._files[-1]
            self._tell()

    async def make_datakeys(self, collections_per_event: int) -> dict[str, DataKey]:
        """Return what is known of each dataset; the first axis is that of the images of an event."""
        return await self._description.make_datakeys(collections_per_event)

    async def make_stream_docs(
        self, collections_written: int, collections_per_event: int
    ) -> AsyncIterator[StreamAsset]:
        """Yield the documents of the first images that have none yet.

        Parameters
        ----------
        collections_written
            Number of images, over all files.
        collections_per_event
            Images of an event.
        """
        left = collections_written
        for one in self._files:
            n_images = min(left, one.n_images)
            async for document in one.provider.make_stream_docs(n_images, collections_per_event):
                yield document
            left -= n_images

    def _tell(self) -> None:
        self._set_written(sum(one.n_images for one in self._files))

    def _provider(self, uri: str) -> StreamResourceDataProvider:
        return StreamResourceDataProvider(
            uri=uri,
            resources=self._resources,
            mimetype=MIME_TYPE,
            collections_written_signal=self.collections_written_signal,
        )
