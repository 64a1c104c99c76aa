"""The ``detector`` section of a JUNGFRAU's configuration."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class JungfrauOptions(BaseModel):
    """Options of a JUNGFRAU; relative paths start at the working directory of the service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    conversion: Literal["raw", "kev", "counts"] = Field(
        "raw",
        description="Pixels of the image: raw (uint16 with gain bits), kev (float32, energy in keV) or counts "
        "(int32, energy / factor, rounded half to even).",
    )
    factor: float | None = Field(None, gt=0, le=1e6, description="Energy of a photon for conversion to counts, in keV.")
    pedestal_file: Path | None = Field(
        None,
        description="HDF5 file with pedestals in /gains, (3 or 4, n_modules * 512, 1024), and /pixel_mask. With "
        "storage cells /gains has one more axis in front, and /storage_cells tells their numbers.",
    )
    gain_file: Path | None = Field(
        None,
        description="HDF5 file with gains in /gains, (4 or 6, n_modules * 512, 1024), in ADU/keV. With storage cells "
        "as in the pedestal file; without, the gains are those of all cells.",
    )
    n_storage_cells: int = Field(
        1, ge=1, le=16, description="Storage cells that the detector uses; std-daq pedestal waits for all of them."
    )
    storage_cell: int | None = Field(
        None,
        ge=0,
        le=15,
        description="Storage cell of a pedestal file that does not name its cells; by default that of the first frame.",
    )
    mask_file: Path | None = Field(
        None,
        description="HDF5 file with /pixel_mask, (n_modules * 512, 1024), 0 is good; by default the pedestal file.",
    )
    apply_mask: bool = Field(True, description="Whether masked pixels get the fill value; raw pixels never do.")
    double_pixels: Literal["keep", "copy", "share"] = Field(
        "keep",
        description="Values of gap pixels if modules are placed with gaps. The pixels at the inner edges of chips are "
        "twice as large as others, and the gap pixels beside them have no data of their own. keep: gap pixels hold the "
        "fill value. copy: gap pixels repeat their neighbour. share: the neighbour's value is divided between both, at "
        "the corners of chips between four.",
    )

    readnrows: int = Field(
        512,
        ge=8,
        le=512,
        multiple_of=8,
        description="Rows that the detector reads of each module, in the middle of the module (readnrows of "
        "slsDetectorPackage). Pixels of other rows hold the fill value and are marked in the pixel mask.",
    )

    @property
    def has_mask(self) -> bool:
        """Whether the options name a file that must contain a mask."""
        return self.mask_file is not None or (self.pedestal_file is not None and self.apply_mask)

    @model_validator(mode="after")
    def _conversion_has_what_it_needs(self) -> Self:
        if self.conversion == "raw" and self.double_pixels != "keep":
            raise ValueError(
                f"double_pixels '{self.double_pixels}' needs energies; use it with conversion kev or counts"
            )
        if self.conversion != "raw":
            for name in ("pedestal_file", "gain_file"):
                if getattr(self, name) is None:
                    raise ValueError(f"conversion '{self.conversion}' needs {name}; give the file, or use 'raw'")
        if self.conversion == "counts" and self.factor is None:
            raise ValueError("conversion 'counts' needs factor; give the energy of a photon in keV")
        if self.conversion != "counts" and self.factor is not None:
            raise ValueError(f"factor has no meaning for conversion '{self.conversion}'; leave it out, or use 'counts'")
        return self
