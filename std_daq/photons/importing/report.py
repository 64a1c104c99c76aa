"""ImportReport: what the geometry format cannot represent, and how often each kind of thing occurs."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class ImportReport:
    """Collects notes while a detector is converted; each thing is told once.

    Attributes
    ----------
    not_representable
        What is lost or approximated: a sentence each, which begins with the thing's kind and name.
    notes
        What was mended or chosen on the way and loses nothing.
    """

    not_representable: dict[str, None] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)

    def lose(self, thing: str, reason: str) -> None:
        """Note something that the geometry format has no counterpart for."""
        self.not_representable[f"{thing}: {reason}"] = None

    def note(self, thing: str, remark: str) -> None:
        """Note something that was mended or chosen."""
        self.notes[f"{thing}: {remark}"] = None
