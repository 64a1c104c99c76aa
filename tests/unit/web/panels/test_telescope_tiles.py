"""The newest images of a telescope's modules, as tiles."""

from typing import Any

import numpy as np
import pytest

from std_web.panels.telescope_tiles import TelescopeTiles, TileKey, key_of, reduce_to


def image(module_id: int = 1, kind: str = "MOVIE", pixels: Any = None, **header: Any) -> dict[str, Any]:
    array = np.zeros((32, 32), np.uint16) if pixels is None else pixels
    return {
        "type": kind,
        "module_id": module_id,
        "header": header,
        "image_array": array,
        "bytes_per_pixel": array.dtype.itemsize,
        "frame_id": 4,
        "frame_number": 3,
        "file": "",
        "skipped": 0,
        "capture_time": np.datetime64(1_500_000_000_250_000_000, "ns"),
        "server_time": None,
    }


def test_boards_of_pulse_heights_are_tiles_of_their_own() -> None:
    board = np.zeros((16, 16), np.int16)
    assert key_of(image(pixels=board, kind="PULSE_HEIGHT", quabo_num=2)) == TileKey(1, "ph256", 2)
    assert key_of(image(quabo_num=2)) == TileKey(1, "img16", -1)
    assert key_of(image(pixels=board, kind="PULSE_HEIGHT", quabo_num=9)) == TileKey(1, "ph256", -1)
    assert key_of(image(pixels=np.zeros((512, 1024), np.uint16))) == TileKey(1, "image", -1)


def test_only_what_is_newer_is_given() -> None:
    tiles = TelescopeTiles()
    tiles.put(image(1))
    tiles.put(image(2))
    seen = tiles.version
    tiles.put(image(1))
    assert [tile.key.module_id for tile in tiles.since(seen, (), ())] == [1]
    assert [tile.key.module_id for tile in tiles.since(-1, (), ())] == [1, 2]
    assert [tile.key.module_id for tile in tiles.since(-1, {2}, {"img16"})] == [2]
    assert tiles.since(-1, (), {"img8"}) == []
    assert tiles.missing([1, 5]) == [5]


def test_time_is_that_of_the_header_and_figures_are_of_all_pixels() -> None:
    tiles = TelescopeTiles()
    tiles.put(image(pixels=np.arange(1024, dtype=np.uint16).reshape(32, 32)))
    (tile,) = tiles.since(-1, (), ())
    assert tile.facts["time"] == pytest.approx(1_500_000_000.25)
    assert (tile.facts["min"], tile.facts["max"], tile.facts["mean"]) == (0, 1023, 511.5)


@pytest.mark.parametrize("shape", [(1, 1000), (300, 200), (129, 128), (128, 128)])
def test_hottest_pixel_survives_the_reduction(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 1000, shape).astype(np.uint16)
    pixels[shape[0] - 1, shape[1] - 1] = 5000
    reduced, n = reduce_to(pixels, 128)
    assert max(reduced.shape) <= 128
    assert reduced[-1, -1] == 5000
    assert reduced[0, 0] == pixels[:n, :n].max()
