"""Counts of faults over a run: their sum, and how they are told."""

from collections.abc import Iterable, Mapping, Sequence

from std_daq.recording.requests import FaultCount

_MAX_NAMED = 16


def sum_of_faults(parts: Iterable[Mapping[str, FaultCount]]) -> dict[str, FaultCount]:
    """Return the faults of a run, given those of its parts."""
    total: dict[str, FaultCount] = {}
    for faults in parts:
        for name, fault in faults.items():
            known = total.get(name, FaultCount())
            total[name] = FaultCount(
                n_images=known.n_images + fault.n_images,
                modules=tuple(sorted({*known.modules, *fault.modules})),
                storage_cells=tuple(sorted({*known.storage_cells, *fault.storage_cells})),
                boards=tuple(sorted({*known.boards, *fault.boards})),
            )
    return total


def describe_counts(faults: Mapping[str, FaultCount], words: Mapping[str, str], noun: str) -> str:
    """Return the faults of a run in words: "2 images with missing packets (module 1), 1 image with refused packets".

    Parameters
    ----------
    words
        What to say for each fault after "with", by its name.
    noun
        What has the faults: ``image`` or ``event``.
    """
    return ", ".join(
        f"{fault.n_images} {noun}{'' if fault.n_images == 1 else 's'} with {words.get(name, name)}{_in_brackets(fault)}"
        for name, fault in faults.items()
        if fault.n_images
    )


def _in_brackets(fault: FaultCount) -> str:
    # Without storage cells, all frames are of cell 0.
    cells = fault.storage_cells if any(fault.storage_cells) else ()
    boards = [f"[{cobo}, {asad}]" for cobo, asad in fault.boards]
    parts = [_numbered("module", fault.modules), _numbered("storage cell", cells), _numbered("board", boards)]
    text = "; ".join(filter(None, parts))
    return f" ({text})" if text else ""


def _numbered(what: str, numbers: Sequence[int | str]) -> str:
    if not numbers:
        return ""
    shown = ", ".join(map(str, numbers[:_MAX_NAMED]))
    more = f" and {len(numbers) - _MAX_NAMED} more" if len(numbers) > _MAX_NAMED else ""
    return f"{what}{'s' if len(numbers) > 1 else ''} {shown}{more}"
