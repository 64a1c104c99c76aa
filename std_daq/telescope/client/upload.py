"""Upload: one host's share of an upload, with a queue from which gRPC takes the images."""

from collections.abc import Iterator
from queue import Full, Queue
from typing import Any

import grpc

from std_daq.telescope.client.answers import failed
from std_daq.telescope.client.calls import UPLOAD_IMAGES
from std_daq.telescope.client.errors import DaqDataError
from std_daq.telescope.client.hosts import Host
from std_daq.telescope.daqdata import daq_data_pb2 as messages

_DEPTH = 8
_LOOK_S = 0.1


class Upload:
    """The upload to one host.

    Parameters
    ----------
    host
        The host.
    channel
        The channel to it.
    metadata
        What the call brings along.
    timeout_s
        Longest time for all images; None: there is no limit.
    """

    def __init__(
        self, host: Host, channel: Any, metadata: tuple[tuple[str, str], ...], timeout_s: float | None
    ) -> None:
        self._host = host
        self._queue: Queue[messages.UploadImageRequest | None] = Queue(_DEPTH)
        self._call = UPLOAD_IMAGES.on(channel).future(self._requests(), timeout=timeout_s, metadata=metadata)

    def put(self, request: messages.UploadImageRequest) -> bool:
        """Hand over an image; waits while the host is slow. Returns False if the call has ended."""
        return self._put(request)

    def finish(self) -> None:
        """Tell that there are no more images."""
        self._put(None)

    def error(self) -> DaqDataError | None:
        """Wait for the end of the call; returns its error, or None if the host has taken all images."""
        try:
            self._call.result()
        except grpc.RpcError as error:
            return failed(self._host, UPLOAD_IMAGES, error)
        return None

    def cancel(self) -> None:
        """End the call, if it has not ended."""
        self._call.cancel()
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put(None)  # gRPC waits for it in a thread

    def _put(self, item: messages.UploadImageRequest | None) -> bool:
        while not self._call.done():
            try:
                self._queue.put(item, timeout=_LOOK_S)
            except Full:
                continue
            return True
        return False

    def _requests(self) -> Iterator[messages.UploadImageRequest]:
        while (request := self._queue.get()) is not None:
            yield request
