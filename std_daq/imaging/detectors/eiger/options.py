"""The ``detector`` section of an EIGER's configuration."""

from pydantic import BaseModel, ConfigDict, Field


class EigerOptions(BaseModel):
    """Options of an EIGER."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tengiga: bool = Field(
        True,
        description="Whether packets come over the 10 Gb interface, with 4096 bytes of pixels each (tengiga of "
        "slsDetectorPackage); false: over 1 Gb, with 1024 bytes, as after power-on.",
    )
    readnrows: int = Field(
        256,
        ge=1,
        le=256,
        description="Rows that the detector reads of each quarter, beginning in the middle of the physical module "
        "(readnrows of slsDetectorPackage). They must fill whole packets. Pixels of other rows hold the fill value and "
        "are marked in the pixel mask.",
    )
