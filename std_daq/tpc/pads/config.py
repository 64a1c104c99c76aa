"""PadsConfig: the section ``pads`` of a ``tpc.json``."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from std_daq.config.section import PathBesideFile, Section, beside_file

# In place of a file: the pad plane of the AT-TPC, made by its rule.
ATTPC: Final = Path("attpc")


def _beside_file_or_attpc(path: Path, info: ValidationInfo) -> Path:
    return path if path == ATTPC else beside_file(path, info)


PathOrAttpc = Annotated[Path, AfterValidator(_beside_file_or_attpc)]


class PadsConfig(Section):
    """The pad plane: which channel reads which pad, and where the pads lie. Relative paths are relative to the file."""

    electronics: PathBesideFile | None = Field(
        None,
        description="Channel map, CSV with a header line: cobo, asad, aget, channel, pad; or with the detector before "
        "its number: pad, si_upstream_front, si_upstream_back, si_downstream_front, si_downstream_back. null: no map, "
        "column 4 of an event is ((cobo * 4 + asad) * 4 + aget) * 68 + channel.",
    )
    geometry: PathOrAttpc | None = Field(
        None,
        description="x and y in mm, a header line and one line a pad; attpc: the plane of the AT-TPC, made by a rule; "
        "null: there is no analysis.",
    )
    scale: PathOrAttpc | None = Field(
        None, description="Size of a pad, a header line and one line a pad; attpc: as geometry; null: 1."
    )
    time_correction: PathBesideFile | None = Field(
        None, description="Offset in time buckets, a header line and one line a pad; null: 0."
    )
    beam_radius_mm: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Pads nearer to the axis are left out of point clouds; 20.0 gives the legacy beam pads of the "
        "AT-TPC.",
    )


PadsSource = PadsConfig | Literal["attpc_spyral"]
