"""FiledPictures: pictures of images in files, made one at a time and kept."""

import json
import subprocess
import sys
from collections import OrderedDict
from contextlib import suppress

import anyio
import anyio.to_thread

from std_daq.errors import ResourceError
from std_web.filed_images.order import PictureOrder

_TIMEOUT_S = 15.0
_END_S = 1.0
_KEPT = 200
_MAX_WAITING = 32


class PictureError(ResourceError):
    """There is no picture of a file."""


class BusyError(ResourceError):
    """Too many pictures are asked for at once."""


class FiledPictures:
    """Makes pictures of files in processes of their own, one after the other, and keeps the newest."""

    def __init__(self) -> None:
        self._kept: OrderedDict[PictureOrder, bytes] = OrderedDict()
        self._limiter: anyio.CapacityLimiter | None = None
        self._n_waiting = 0

    async def of(self, order: PictureOrder) -> bytes:
        """Return a picture.

        Raises
        ------
        PictureError
            The file cannot be read.
        BusyError
            Too many pictures are asked for.
        """
        if order not in self._kept:
            if self._n_waiting >= _MAX_WAITING:
                raise BusyError(f"{_MAX_WAITING} pictures are being made; ask again in some seconds")
            self._n_waiting += 1
            try:
                return await self._make(order)
            finally:
                self._n_waiting -= 1
        self._kept.move_to_end(order)
        return self._kept[order]

    async def _make(self, order: PictureOrder) -> bytes:
        self._limiter = self._limiter or anyio.CapacityLimiter(1)
        async with self._limiter:
            picture = self._kept.get(order)
            if picture is None:
                picture = self._kept[order] = await anyio.to_thread.run_sync(_picture, order)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return picture


def _picture(order: PictureOrder) -> bytes:
    process = subprocess.Popen(
        [sys.executable, "-m", "std_web.filed_images.picture_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        made, told = process.communicate(json.dumps(order.to_wire()).encode(), _TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        with suppress(subprocess.TimeoutExpired):  # a process that waits for a dead disk does not end
            process.communicate(timeout=_END_S)
        raise PictureError(f"{order.file}: it could not be read within {_TIMEOUT_S:g} s") from None
    if process.returncode or not made:
        reason = told.decode(errors="replace").strip().splitlines()
        raise PictureError(
            reason[-1][:500] if reason else f"{order.file}: reading it has ended with {process.returncode}"
        )
    return made
