"""FrameLayout: where header and pixels of a frame lie; it is learnt from the first frame of a file. Pure."""

from dataclasses import dataclass

from std_daq.telescope.pff.header import HEADER_END, MAX_HEADER_BYTES, check_header, parse_header
from std_daq.telescope.pff.product import Product


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """Where header and pixels of each frame lie.

    Parameters
    ----------
    product
        The product of the frames.
    header_bytes
        Size of a header with the two line ends, and without the asterisk.
    """

    product: Product
    header_bytes: int

    @property
    def pixel_offset(self) -> int:
        """Bytes of a frame before its pixels."""
        return self.header_bytes + 1

    @property
    def frame_bytes(self) -> int:
        """Size of a frame."""
        return self.pixel_offset + self.product.image_bytes

    def has_frame_at(self, data: bytes, offset: int) -> bool:
        """Return whether a whole header of this layout lies at an offset."""
        end = offset + self.pixel_offset
        return data[offset : offset + 1] == b"{" and data[end - len(HEADER_END) : end] == HEADER_END


def learn_layout(start: bytes, product: Product) -> FrameLayout | None:
    """Return the layout of the frames that begin so; None if it does not contain a whole header yet.

    Raises
    ------
    ValueError
        No frame of this product begins so.
    """
    if not start:
        return None
    if start[:1] != b"{":
        raise ValueError(f"a frame begins with '{{', not with {start[:1]!r}")
    end = start.find(HEADER_END, 0, MAX_HEADER_BYTES)
    if end < 0:
        if len(start) >= MAX_HEADER_BYTES:
            raise ValueError(f"no header ends within the first {MAX_HEADER_BYTES} bytes")
        return None
    check_header(parse_header(start[:end]), product)
    return FrameLayout(product, end + len(HEADER_END) - 1)
