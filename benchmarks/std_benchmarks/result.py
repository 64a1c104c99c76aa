"""Result: the figures of a run with the machine they are of, as a document that a later run is compared with."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from std_benchmarks.figure import Figure, Target
from std_daq.errors import ConfigError

FORMAT = "std-daq-bench-1"


@dataclass(slots=True)
class Result:
    """What one run of the suite has found.

    Attributes
    ----------
    machine
        What `describe_machine` says.
    started
        When it began, as ISO 8601 in UTC.
    figures
        The figures of each benchmark, by its name.
    failures
        Why a benchmark gave no figures, by its name.
    durations_s
        How long each benchmark took, by its name.
    """

    machine: dict[str, Any]
    started: str
    figures: dict[str, list[Figure]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    durations_s: dict[str, float] = field(default_factory=dict)

    def all_figures(self) -> Iterator[Figure]:
        """Go through the figures of all benchmarks."""
        for figures in self.figures.values():
            yield from figures

    def to_json(self) -> dict[str, Any]:
        """Return the document; medians, ratios and verdicts stand in it for those who read it without this package."""
        return {
            "format": FORMAT,
            "started": self.started,
            "machine": self.machine,
            "benchmarks": {
                name: {
                    "duration_s": round(self.durations_s[name], 1),
                    **({"failure": self.failures[name]} if name in self.failures else {}),
                    "figures": [figure_to_json(figure) for figure in self.figures.get(name, [])],
                }
                for name in self.durations_s
            },
        }

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read the document of an earlier run; raises ConfigError for what is none."""
        try:
            document = json.loads(file.read_text())
            if document["format"] != FORMAT:
                raise ConfigError(
                    "is of another version", file=file, key="format", value=document["format"], remedy="measure anew"
                )
            benchmarks = document["benchmarks"]
            return cls(
                document["machine"],
                document["started"],
                {name: [figure_from_json(figure) for figure in found["figures"]] for name, found in benchmarks.items()},
                {name: found["failure"] for name, found in benchmarks.items() if "failure" in found},
                {name: found["duration_s"] for name, found in benchmarks.items()},
            )
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}", file=file) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"is no result of scripts/bench ({type(error).__name__}: {error})", file=file) from None


def figure_to_json(figure: Figure) -> dict[str, Any]:
    """Return a figure as part of the document."""
    document: dict[str, Any] = {"name": figure.name, "unit": figure.unit, "median": figure.value}
    document["ours"] = list(figure.ours)
    if figure.references:
        document |= {"reference": figure.reference, "references": list(figure.references)}
        document["median_ratio"] = statistics.median(figure.ratios)
    if figure.target is not None:
        document["target"] = {"side": figure.target.side, "bound": figure.target.bound, "is_met": figure.is_met}
    if figure.details:
        document["details"] = dict(figure.details)
    return document


def figure_from_json(document: dict[str, Any]) -> Figure:
    """Return the figure of a part of the document."""
    target = document.get("target")
    return Figure(
        document["name"],
        document["unit"],
        document["ours"],
        document.get("reference", ""),
        document.get("references", ()),
        None if target is None else Target(target["side"], target["bound"]),
        document.get("details", {}),
    )
