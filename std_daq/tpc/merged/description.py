"""MergedFileDescription: what a merged file says besides its events."""

from dataclasses import dataclass, field
from typing import Any, Self

from std_daq.errors import FileFormatError
from std_daq.tpc.merged.layout import DATASETS_2_0, PADS, VERSIONS_OF_WRITING, Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedFileDescription:
    """Description of a file that is to be written.

    Attributes
    ----------
    layout
        Layout 1.0 or 2.0.
    request_id
        Id of the write request; empty if nobody requested the file.
    request_json, configuration_json
        Request and configuration, as JSON.
    versions
        Versions of the programs that write the file.
    """

    layout: Layout
    request_id: str = ""
    request_json: str = "{}"
    configuration_json: str = "{}"
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.layout not in VERSIONS_OF_WRITING:
            raise FileFormatError(f"files of layout {self.layout} are read, and not written")

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets of an event, in the order of their parts."""
        return DATASETS_2_0 if self.layout is Layout.V2_0 else (PADS,)

    def to_json(self) -> dict[str, Any]:
        """Return the description as an object that can be written as JSON."""
        return {
            "layout": str(self.layout),
            "request_id": self.request_id,
            "request_json": self.request_json,
            "configuration_json": self.configuration_json,
            "versions": self.versions,
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return the description of `to_json`; raises ValueError, TypeError or KeyError if it is none."""
        return cls(**{**document, "layout": Layout(document["layout"])})
