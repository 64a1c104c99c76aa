"""Pictures of the older interface: the live stream as MJPEG, and images of runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from std_daq.imaging.config.model import DetectorConfig
from std_web.filed_images.order import PictureOrder
from std_web.filed_images.pictures import FiledPictures
from std_web.older import pictures
from std_web.older.acquisition import OlderRun
from std_web.older.acquisitions import AcquisitionBook
from std_web.older.answers import OlderError
from std_web.runs.desk import RunDesk

_PERIOD_S = 0.2
_MAX_STREAMS = 16
_MAX_AT_ONCE = 2
_MAX_WAITING = 32
_LIVE = "live"


class _CountedStream(StreamingResponse):
    """A stream of pictures that tells its end, also if the client has left before the first of them."""

    def __init__(self, frames: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        super().__init__(frames, media_type="multipart/x-mixed-replace; boundary=frame")
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ended()


class OlderViewing:
    """Shows the images of one detector.

    Parameters
    ----------
    desk
        The desk of the detector.
    book
        Its runs.
    filed
        Makes pictures of files.
    """

    def __init__(self, desk: RunDesk, book: AcquisitionBook, filed: FiledPictures) -> None:
        self._desk = desk
        self._detector = desk.detector
        self._filed = filed
        self._book = book
        self._picture: tuple[int, bytes] = (-1, b"")
        self._making = asyncio.Lock()
        self._n_streams = 0
        # Threads are few, and others need them as well.
        self._drawing = asyncio.Semaphore(_MAX_AT_ONCE)
        self._n_waiting = 0

    async def live(self, request: Request) -> Response:
        """Send the newest images as MJPEG, five a second at most, until the client leaves."""
        self._images()
        # Counted before anything is waited for: of many who ask at once, each would find a place else.
        if self._n_streams >= _MAX_STREAMS:
            raise OlderError(f"{_MAX_STREAMS} clients watch already")
        self._n_streams += 1
        return _CountedStream(self._frames(request), self._leave)

    def _leave(self) -> None:
        self._n_streams -= 1

    async def metadata(self, request: Request) -> dict[str, Any]:
        """Return what is known of a run and its files."""
        run = self._run(request.path_params["name"])
        return {
            "file_metadata": {
                **run.to_json()["info"],
                "request_id": run.request_id,
                "files": list(run.files),
                "report": run.report,
                "acquisition": run.to_json(),
            }
        }

    async def image(self, request: Request) -> Response:
        """Return an image of a run, or the newest one of the detector, as JPEG."""
        index = request.path_params["index"]
        if not (index.isascii() and index.isdigit() and len(index) < 10):
            raise OlderError(f"'{index[:50]}' is not the index of an image")
        shows_map, has_gaps = _flag(request, "module_map", "0"), _flag(request, "gaps", "1")
        name = request.path_params["name"]
        if name != _LIVE and not shows_map:
            order = await asyncio.to_thread(self._order, self._run(name), int(index), has_gaps=has_gaps)
            return Response(await self._filed.of(order), media_type="image/jpeg")
        if self._n_waiting >= _MAX_WAITING:
            raise OlderError(f"{_MAX_WAITING} pictures are being made already; ask again")
        self._n_waiting += 1
        try:
            async with self._drawing:
                made = await asyncio.to_thread(self._picture_of, shows_map=shows_map, has_gaps=has_gaps)
        finally:
            self._n_waiting -= 1
        return Response(made, media_type="image/jpeg")

    def _picture_of(self, *, shows_map: bool, has_gaps: bool) -> bytes:
        config = self._images()
        if shows_map:
            pixels: Any = pictures.module_map(config)
        else:
            ring = self._detector.ring()
            found = None if ring is None else pictures.newest(ring)
            if found is None:
                raise OlderError("no image has come yet")
            pixels = found[1]
        return pictures.jpeg(pixels if has_gaps else pictures.without_gaps(pixels, pictures.module_map(config)))

    def _run(self, name: str) -> OlderRun:
        run = self._book.find(name)
        if run is None:
            raise OlderError(f"no run '{name[:100]}' is in the log")
        return run

    def _order(self, run: OlderRun, row: int, *, has_gaps: bool) -> PictureOrder:
        """Order the picture of a run; only files below the output roots are read, whatever the broker has told."""
        return PictureOrder(
            run=run.request_id,
            file=run.files[0] if run.files else run.output_file,
            roots=self._desk.roots,
            row=row,
            size=pictures.MAX_SIDE,
            encoding="jpeg",
            kept=None if has_gaps else pictures.used_parts(pictures.module_map(self._images())),
        )

    def _images(self) -> DetectorConfig:
        config = self._detector.config
        if not isinstance(config, DetectorConfig):
            raise OlderError(f"{self._detector.name} has no images")
        return config

    async def _frames(self, request: Request) -> AsyncIterator[bytes]:
        shown = -1
        while not await request.is_disconnected():
            begun_s = time.monotonic()
            sequence, made = await self._newest()
            if sequence != shown and made:
                shown = sequence
                yield b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n" % (len(made), made)
            await asyncio.sleep(max(0.0, _PERIOD_S - (time.monotonic() - begun_s)))

    async def _newest(self) -> tuple[int, bytes]:
        """Return the newest picture, which all who watch share."""
        async with self._making:
            ring = await asyncio.to_thread(self._detector.ring)
            if ring is not None and ring.journal.next_sequence - 1 != self._picture[0]:
                found = await asyncio.to_thread(pictures.newest, ring)
                if found is not None:
                    self._picture = (found[0], await asyncio.to_thread(pictures.jpeg, found[1]))
            return self._picture


def _flag(request: Request, name: str, default: str) -> bool:
    text = request.query_params.get(name, default)
    if text not in {"0", "1"}:
        raise OlderError(f"{name} is 0 or 1, not '{text[:50]}'")
    return text == "1"
