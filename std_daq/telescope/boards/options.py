"""The ``detector`` section of a telescope's configuration."""

from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from std_daq.telescope.boards.packets import MAX_MODULE
from std_daq.telescope.config import ProductName

_LAST_PORT = 65535
Orientation = Literal["until-2025-07", "since-2025-07", "none"]


class TelescopeOptions(BaseModel):
    """Options of a telescope."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    product: ProductName = Field(
        description="What the images are: pulse heights of single boards (ph256) or of four (ph1024), or movie images "
        "of four boards with 16 or 8 bits (img16, img8). Packets of other products are counted, and not used."
    )
    modules: tuple[Annotated[int, Field(ge=0, le=MAX_MODULE)], ...] = Field(
        (), description="Numbers of the telescope modules whose packets are used; none stands for all that send."
    )
    orientation: Orientation = Field(
        "until-2025-07",
        description="How the boards are turned: as in the files up to July 2025, as in those of a later version of the "
        "acquisition, or not at all, with the pixels as in the packets.",
    )
    coincidence_ns: int = Field(
        100,
        ge=0,
        le=500_000_000,
        description="Packets of the boards of a module belong to one image if their times differ by at most this, in "
        "nanoseconds. Pulse heights of four boards (ph1024) need 25 to 50.",
    )
    max_pff_file_mb: float = Field(
        1000.0, gt=0, le=1e9, description="Size that no PFF file of a run exceeds, in MB (10^6 bytes)."
    )
    others_to: str | None = Field(
        None,
        description="IPv4 address and port, ADDRESS:PORT, to which packets of other products are passed on. So two "
        "configurations receive the pulse heights and the movie images that the same boards send.",
    )

    @field_validator("others_to")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            address, _, port = value.rpartition(":")
            if not (_is_ipv4(address) and port.isdecimal() and 0 < int(port) <= _LAST_PORT):
                raise ValueError("must have the form ADDRESS:PORT, for example 127.0.0.1:60011")
        return value


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
