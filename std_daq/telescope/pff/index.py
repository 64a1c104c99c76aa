"""The index of a run in PFF files, and the check of the files that it names."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from std_daq.config.wrong_input import fault_in_words
from std_daq.recording.run_index import UNREADABLE, RunIndexReport, read_index

_PIECE_BYTES = 1 << 24


@dataclass(slots=True)
class PffReport(RunIndexReport):
    """Result of `validate_index`.

    Attributes
    ----------
    n_images
        Images that were written, as the verdict says.
    """

    n_images: int = 0

    def counts(self) -> Iterable[str]:
        """Yield what the run has, as lines for a person."""
        if self.verdict:
            yield f"images    {self.n_images}"


def validate_index(path: Path, *, after_each: Callable[[], None] = lambda: None) -> PffReport:
    """Check the index of a run, and compare the files that it names with their checksums.

    Parameters
    ----------
    path
        Path of the index.
    after_each
        Called after each 16 MB.
    """
    report = PffReport(str(path))
    try:
        index, run = read_index(path)
        report.files = [str(name) for name in index["files"]]
        checksums = index["checksums"]
    except UNREADABLE as error:
        report.error(
            f"cannot be read as an index of PFF files: it {fault_in_words(error)}", "give the index, or an HDF5 file"
        )
        return report
    if run is None:
        report.error(
            "no verdict: the run has not ended, or its writer was killed; the files are whole to the last flush"
        )
        return report
    report.note_run(run)
    report.n_images = run.n_written
    if len(checksums) != len(report.files):
        report.error(f"it has {len(checksums)} checksums of {len(report.files)} files")
        return report
    for name, checksum in zip(report.files, checksums, strict=True):
        _check_file(path.parent / name, checksum, report, after_each)
    return report


def _check_file(path: Path, wanted: str, report: PffReport, after_each: Callable[[], None]) -> None:
    import xxhash

    state = xxhash.xxh3_64()
    try:
        if not path.is_file():
            report.error(f"{path}: there is no such file")
            return
        for piece in _pieces(path):
            state.update(piece)
            after_each()
    except OSError as error:
        report.error(f"{path}: cannot be read: {error.strerror}")
        return
    if state.hexdigest() != wanted:
        report.error(f"{path} changed after it was written: wrong checksum", "take the file from a copy")


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece
