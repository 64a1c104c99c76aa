"""The faults of images in words, and their counts over a run: whatever tells a user what is wrong says it from here."""

from collections import Counter
from collections.abc import Iterable, Mapping

from std_daq.imaging.protocols.image_metadata import ImageStatus
from std_daq.recording.fault_words import describe_counts
from std_daq.recording.requests import FaultCount

FAULT_WORDS = {
    ImageStatus.MISSING_PACKETS: "missing packets",
    ImageStatus.ID_MISMATCH: "different image ids of their modules",
    ImageStatus.MISSING_MODULES: "missing modules",
    ImageStatus.OVERWRITTEN: "modules overwritten before they were used",
    ImageStatus.REFUSED_PACKETS: "refused packets",
    ImageStatus.OUT_OF_STEP: "modules out of step",
    ImageStatus.NOT_CALIBRATED: "frames without calibration",
    ImageStatus.RENUMBERED: "modules that count differently",
}
"""What is wrong with an image that has a flag of `ImageStatus`, as in "2 images with missing packets"."""

_IMPLIED = {
    ImageStatus.MISSING_MODULES: ImageStatus.MISSING_PACKETS,
    ImageStatus.OUT_OF_STEP: ImageStatus.ID_MISMATCH,
}


def fault_name(fault: ImageStatus) -> str:
    """Return the name of a flag in metrics, files and reports."""
    return str(fault.name).lower()


def faults_of(status: int) -> list[ImageStatus]:
    """Return the faults of an image, without those that another one implies: a missing module lacks its packets."""
    implied = [_IMPLIED[fault] for fault in _IMPLIED if status & fault]
    return [fault for fault in ImageStatus if status & fault and fault not in implied]


def describe_status(status: int) -> str:
    """Return the status of an image in words, such as "missing packets, modules out of step"; good is "good"."""
    return ", ".join(FAULT_WORDS[fault] for fault in faults_of(status)) or "good"


def describe_faults(faults: Mapping[str, FaultCount]) -> str:
    """Return the faults of a run in words: "2 images with missing packets (module 1), 1 image with refused packets"."""
    return describe_counts(faults, {fault_name(fault): text for fault, text in FAULT_WORDS.items()}, "image")


class FaultCounter:
    """Counts the images of a run that are not good, by fault, with the modules that have it as far as they are known.

    Attributes
    ----------
    n_images
        Images that are not good.
    """

    def __init__(self) -> None:
        self.n_images = 0
        self._images: Counter[ImageStatus] = Counter()
        self._modules: dict[ImageStatus, Counter[int]] = {}
        self._cells: Counter[int] = Counter()

    def add(
        self, status: int, modules: Mapping[ImageStatus, Iterable[int]], n: int = 1, *, cells: Iterable[int] = ()
    ) -> None:
        """Count images; ``n`` is -1 to take one back.

        Parameters
        ----------
        status
            Status of the image.
        modules
            Modules that have a fault; faults that the image does not have are ignored.
        n
            Number of images.
        cells
            Storage cells of its frames without calibration.
        """
        if status == ImageStatus.GOOD:
            return
        self.n_images += n
        for fault in faults_of(status):
            self._images[fault] += n
            counts = self._modules.setdefault(fault, Counter())
            for module in modules.get(fault, ()):
                counts[module] += n
        for cell in cells:
            self._cells[cell] += n

    @property
    def faults(self) -> dict[str, FaultCount]:
        """The counts by the name of the fault."""
        return {
            fault_name(fault): FaultCount(
                n_images=n,
                modules=_counted(self._modules[fault]),
                storage_cells=_counted(self._cells) if fault is ImageStatus.NOT_CALIBRATED else (),
            )
            for fault, n in sorted(self._images.items())
            if n > 0
        }


def _counted(counts: Counter[int]) -> tuple[int, ...]:
    return tuple(sorted(number for number, n in counts.items() if n > 0))
