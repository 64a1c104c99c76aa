"""TelescopeTiles: the newest image of each product of each module and board, small enough for a mosaic."""

import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.telescope.boards.orientation import PLACES
from std_daq.telescope.pff.product import product_of

_MAX_EDGE = 128
_MAX_TILES = 4096
_LOW, _HIGH = 1, 99
OTHER = "image"
"""The product of images that are none of a telescope's."""


class TileKey(NamedTuple):
    """Which image a tile shows; the board is -1 where an image is of all boards of a module."""

    module_id: int
    product: str
    board: int


@dataclass(frozen=True, slots=True)
class Tile:
    """One image.

    Parameters
    ----------
    key
        What it is of.
    version
        Number of its change; the newest of all tiles has the highest.
    pixels
        The pixels (rows, columns); larger images are reduced by the maximum of n x n pixels.
    facts
        What the panel tells of it, as JSON has it.
    """

    key: TileKey
    version: int
    pixels: NDArray[Any]
    facts: Mapping[str, Any]


class TelescopeTiles:
    """The newest images; one thread or several put them in, any thread takes them.

    Attributes
    ----------
    version
        Number of changes so far.
    n_left_out
        Images of a tile beyond the largest number that is kept.
    """

    def __init__(self) -> None:
        self._tiles: dict[TileKey, Tile] = {}
        self._lock = threading.Lock()
        self.version = 0
        self.n_left_out = 0

    def put(self, image: Mapping[str, Any]) -> None:
        """Take an image, as `DaqDataClient.stream_images` returns it."""
        key = key_of(image)
        pixels, binning = reduce_to(image["image_array"], _MAX_EDGE)
        facts = {
            "module": key.module_id,
            "product": key.product,
            "board": key.board,
            "frame_id": image["frame_id"],
            "frame_number": image["frame_number"],
            "file": image["file"],
            "skipped": image["skipped"],
            "time": _seconds(image),
            "shape": list(image["image_array"].shape),
            "binning": binning,
            **_figures(image["image_array"]),
        }
        with self._lock:
            if key not in self._tiles and len(self._tiles) >= _MAX_TILES:
                self.n_left_out += 1
                return
            self.version += 1
            self._tiles[key] = Tile(key, self.version, pixels, facts)

    def since(self, version: int, module_ids: Collection[int], products: Collection[str]) -> list[Tile]:
        """Return the tiles that are newer, of these modules and products; empty stands for all of them."""
        with self._lock:
            tiles = list(self._tiles.values())
        return sorted(
            (
                tile
                for tile in tiles
                if tile.version > version
                and (not module_ids or tile.key.module_id in module_ids)
                and (not products or tile.key.product in products)
            ),
            key=lambda tile: tile.key,
        )

    def missing(self, module_ids: Iterable[int]) -> list[int]:
        """Return those of the modules of which no image has come."""
        with self._lock:
            there = {key.module_id for key in self._tiles}
        return sorted(set(module_ids) - there)

    def clear(self) -> None:
        """Forget all images."""
        with self._lock:
            self._tiles.clear()
            self.version += 1


def key_of(image: Mapping[str, Any]) -> TileKey:
    """Return which tile shows an image."""
    shape = tuple(image["image_array"].shape)
    product = product_of(
        is_pulse_height=image["type"] == "PULSE_HEIGHT", shape=shape, bytes_per_pixel=image["bytes_per_pixel"]
    )
    board = image["header"].get("quabo_num", -1)
    is_board = product is not None and not product.quabos and isinstance(board, int) and 0 <= board < len(PLACES)
    return TileKey(image["module_id"], OTHER if product is None else product.name, board if is_board else -1)


def reduce_to(pixels: NDArray[Any], max_edge: int) -> tuple[NDArray[Any], int]:
    """Return an image of at most so many rows and columns, by the maximum of n x n pixels, and n."""
    n = -(-max(pixels.shape) // max_edge)
    if n <= 1:
        return pixels, 1
    starts = [np.arange(0, length, n) for length in pixels.shape]
    return np.maximum.reduceat(np.maximum.reduceat(pixels, starts[0], axis=0), starts[1], axis=1), n


def _figures(pixels: NDArray[Any]) -> dict[str, float]:
    if not pixels.size:
        return {"min": 0, "max": 0, "mean": 0.0, "low": 0.0, "high": 0.0}
    low, high = np.percentile(pixels, (_LOW, _HIGH))
    return {
        "min": int(pixels.min()),
        "max": int(pixels.max()),
        "mean": float(pixels.mean()),
        "low": float(low),
        "high": float(high),
    }


def _seconds(image: Mapping[str, Any]) -> float | None:
    """Return when an image was taken, in seconds since 1970: by its header, else by the server."""
    for time in (image["capture_time"], image["server_time"]):
        if time is not None:
            return float(time.astype(np.int64)) / 1e9
    return None
