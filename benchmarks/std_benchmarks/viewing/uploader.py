"""Uploader: sends movie images to a server by UploadImages, as a client does."""

import time
from collections.abc import Iterator

import grpc

from std_benchmarks.viewing.acquisition import MODULE, PRODUCT, header_of_now
from std_benchmarks.viewing.clients import LAST
from std_daq.telescope.daqdata import daq_data_pb2 as messages

_PATIENCE_S = 120.0


class Uploader:
    """One connection.

    Parameters
    ----------
    address
        Of the server.
    """

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._call = self._channel.stream_unary(
            "/daqdata.DaqData/UploadImages", messages.UploadImageRequest.SerializeToString
        )
        self._request = messages.UploadImageRequest()
        image = self._request.pano_image
        image.type = messages.PanoImage.MOVIE
        image.image_array.extend((i * 37) % 4096 for i in range(PRODUCT.shape[0] * PRODUCT.shape[1]))
        image.shape.extend(PRODUCT.shape)
        image.bytes_per_pixel = PRODUCT.dtype.itemsize
        image.module_id = MODULE
        image.header.update(header_of_now())

    def send_one(self) -> None:
        """Upload an image."""
        self._upload(iter([self._stamped(0, 0)]))

    def send(self, n_images: int, rate_hz: float) -> float:
        """Upload a series, each image with the time of now in its header; returns how many seconds it took."""
        began = time.perf_counter()

        def paced() -> Iterator[messages.UploadImageRequest]:
            for i in range(n_images):
                time.sleep(max(0.0, began + i / rate_hz - time.perf_counter()))
                yield self._stamped(i, LAST if i == n_images - 1 else 0)

        self._upload(paced())
        return time.perf_counter() - began

    def highest_rate_hz(self, n_images: int) -> float:
        """Upload images one behind the other; returns how many the server took in a second."""
        began = time.perf_counter()
        self._upload(self._request for _ in range(n_images))
        return n_images / (time.perf_counter() - began)

    def close(self) -> None:
        """Disconnect."""
        self._channel.close()

    def _upload(self, requests: Iterator[messages.UploadImageRequest]) -> None:
        self._call(requests, timeout=_PATIENCE_S)

    def _stamped(self, number: int, first_pixel: int) -> messages.UploadImageRequest:
        image = self._request.pano_image
        image.header.update(header_of_now())
        image.image_array[0] = first_pixel
        image.frame_number = number
        return self._request
