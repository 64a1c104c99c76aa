"""PictureOrder: which picture of which file is wanted, as the service asks the process that reads the file."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class KeptParts:
    """The rows and columns of an image that are shown: ranges, each with its first index and the one behind its last.

    They count for images of this shape, (height, width); others are shown whole.
    """

    shape: tuple[int, int]
    rows: Ranges
    columns: Ranges


@dataclass(frozen=True, slots=True)
class PictureOrder:
    """A picture of one image of a closed file.

    Parameters
    ----------
    run
        Id of the run; another run may have written another file of this name.
    file
        An image file, or a master file.
    roots
        Folders in which it has to lie; if there are none, it may lie anywhere.
    row
        Row of the image in the file, counted from 0.
    size
        Rows and columns of the picture, at most.
    encoding
        Format of the picture.
    kept
        Parts of the image that are shown; None: all of it.
    """

    run: str
    file: str
    roots: tuple[str, ...]
    row: int
    size: int
    encoding: Literal["png", "jpeg"]
    kept: KeptParts | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return the order as JSON has it."""
        return asdict(self)

    @classmethod
    def from_wire(cls, fields: dict[str, Any]) -> Self:
        """Return the order that `to_wire` has told."""
        kept = fields["kept"]
        return cls(**{**fields, "kept": None if kept is None else KeptParts(**kept)})
