"""What Rerun tells an importer: a file, and options of its version."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_VALUED = ("--application-id", "--recording-id", "--entity-path-prefix")

_STATIC = frozenset({"--static", "--timeless"})


@dataclass(frozen=True, slots=True)
class ImporterArguments:
    """The arguments that matter; all others belong to some version of Rerun, and are ignored.

    Parameters
    ----------
    file
        What to import; None if there is none.
    application_id, recording_id
        What the viewer wants the recording to be called; None if it does not say.
    entity_path_prefix
        The entity below which all others go; None if there is none.
    is_static
        Whether data without times are asked for.
    """

    file: Path | None
    application_id: str | None = None
    recording_id: str | None = None
    entity_path_prefix: str | None = None
    is_static: bool = False

    @classmethod
    def of(cls, argv: Sequence[str]) -> Self:
        """Read the arguments. Versions before 0.32 put the file first; an unknown option may have a value or none."""
        values = dict.fromkeys(_VALUED, "")
        words = []
        previous = ""
        for argument in argv:
            name, separator, value = argument.partition("=")
            if name in _VALUED and separator:
                values[name] = value
            elif previous in _VALUED:
                values[previous] = argument
            elif not argument.startswith("-"):
                words.append((argument, previous.startswith("-")))
            previous = "" if previous in _VALUED else argument
        # A word behind an option may be its value. The file is a word that is none, else one that is there.
        plain = [Path(word) for word, is_perhaps_value in words if not is_perhaps_value]
        others = [Path(word) for word, _ in words if Path(word).is_file()]
        file = next(iter(plain + others), None)
        return cls(
            file,
            values["--application-id"] or None,
            values["--recording-id"] or None,
            values["--entity-path-prefix"].strip("/") or None,
            not _STATIC.isdisjoint(argv),
        )
