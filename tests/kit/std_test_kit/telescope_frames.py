"""Frames of a telescope, made up: each tells by its header and pixels which one it is."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from std_daq.telescope.pff import PffWriter, Product
from std_daq.telescope.pff.header import TAI_MINUS_UTC_S, TAI_MODULUS

START = "2025-01-02T03:04:05Z"
_FIRST_S = 1_735_787_045


def make_packet(number: int, quabo: int = 0) -> dict[str, int]:
    """Return the part of a header that tells of one packet; frames come 1 ms apart."""
    second, millisecond = divmod(number, 1000)
    tv_sec = _FIRST_S + second
    return {
        "pkt_num": (1000 * quabo + number) % 65536,
        "pkt_tai": (tv_sec + TAI_MINUS_UTC_S) % TAI_MODULUS,
        "pkt_nsec": millisecond * 1_000_000 + quabo,
        "tv_sec": tv_sec,
        "tv_usec": millisecond * 1000 + 300,
    }


def make_header(product: Product, number: int) -> dict[str, Any]:
    """Return the header of the frame with this number."""
    if product.quabos:
        return {f"quabo_{quabo}": make_packet(number, quabo) for quabo in product.quabos}
    return {"quabo_num": number % 4, **make_packet(number, number % 4)}


def make_pixels(product: Product, number: int, module_id: int = 1) -> npt.NDArray[Any]:
    """Return pixels of the whole range of their type, negative ones too, that differ from frame to frame."""
    values = np.random.default_rng([number, module_id]).integers(
        np.iinfo(product.dtype).min, np.iinfo(product.dtype).max, product.shape, endpoint=True
    )
    return values.astype(product.dtype)


def write_pff(
    folder: Path, product: Product, n_frames: int, *, module_id: int = 1, max_file_bytes: int | None = None
) -> list[Path]:
    """Write the first frames of a module; returns the files."""
    with PffWriter(folder, product, module_id, START, max_file_bytes=max_file_bytes) as writer:
        for number in range(n_frames):
            writer.write(make_pixels(product, number, module_id), make_header(product, number))
    return writer.paths


def make_run(data_dir: Path, module_id: int = 1, name: str = "obs_Test.start_2025-01-02T03:04:05Z") -> Path:
    """Make the folder of a run of a module, and return it."""
    folder = data_dir / f"module_{module_id}" / f"{name}.runtype_sci-data.pffd"
    folder.mkdir(parents=True)
    return folder


def as_upload(image: Any) -> dict[str, Any]:
    """Return of an image that a client has received what `TableClient.image` needs to upload it."""
    fields = ("type", "shape", "bytes_per_pixel", "image_array", "module_id", "file", "frame_number", "header")
    return {name: getattr(image, name) for name in fields}


def as_frame(image: Any, product: Product) -> tuple[dict[str, Any], npt.NDArray[Any]]:
    """Return header and pixels of an image, as a file has them."""
    whole = {
        key: {k: int(v) for k, v in value.items()} if hasattr(value, "items") else int(value)
        for key, value in image.header.items()
    }
    bits = np.array(image.image_array, np.uint32).astype(f"<u{product.dtype.itemsize}")
    return whole, bits.view(product.dtype).reshape(product.shape)
