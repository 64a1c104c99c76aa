"""Figure: one line of the result, what was measured beside its reference."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

Detail: TypeAlias = float | int | str | bool | Sequence[float]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach: its ratio to the reference, or itself where there is no reference."""

    side: Literal["at most", "at least"]
    bound: float

    @classmethod
    def at_most(cls, bound: float) -> Self:
        """Return a target that is met from the bound downwards."""
        return cls("at most", bound)

    @classmethod
    def at_least(cls, bound: float) -> Self:
        """Return a target that is met from the bound upwards."""
        return cls("at least", bound)

    def is_met(self, value: float) -> bool:
        """Tell whether a value meets the target."""
        return value <= self.bound if self.side == "at most" else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.side == 'at most' else '≥'} {self.bound:,g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Parameters
    ----------
    name
        Name in the table; the same in each run, because runs are compared by it.
    unit
        Unit of `ours` and `references`.
    ours
        What was measured, one value for each turn.
    reference
        What the reference is, in a few words; empty if there is none.
    references
        The reference, measured in the same turns; as long as `ours`, or empty.
    target
        Target of the median ratio, or of the median of `ours` if there is no reference; None: listed only.
    details
        What else was seen: conditions, counts, further figures.
    """

    name: str
    unit: str
    ours: Sequence[float]
    reference: str = ""
    references: Sequence[float] = ()
    target: Target | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.ours:
            raise ValueError(f"{self.name}: nothing was measured")
        if self.references and len(self.references) != len(self.ours):
            raise ValueError(f"{self.name}: {len(self.ours)} turns, but {len(self.references)} of the reference")

    @property
    def value(self) -> float:
        """Median of `ours`."""
        return statistics.median(self.ours)

    @property
    def reference_value(self) -> float | None:
        """Median of the reference."""
        return statistics.median(self.references) if self.references else None

    @property
    def ratios(self) -> list[float]:
        """Ours to the reference, turn by turn; empty if there is no reference."""
        return [ours / theirs for ours, theirs in zip(self.ours, self.references, strict=False)]

    @property
    def judged(self) -> float:
        """What the target is about: the median ratio, or the median itself."""
        return statistics.median(self.ratios or self.ours)

    @property
    def spread(self) -> tuple[float, float]:
        """Smallest and largest of what the target is about."""
        values = self.ratios or list(self.ours)
        return min(values), max(values)

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None if there is none."""
        return None if self.target is None else self.target.is_met(self.judged)
