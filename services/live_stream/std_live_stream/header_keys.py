"""HeaderKeys: keys of an image header about the detector and the calibration, in addition to the ImageMetadata."""

from typing import Any

from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.protocols.calibration_notes import calibrations_of

_CALIBRATION_KEYS = {"pedestal": "pedestal_file", "gain": "gain_file"}


class HeaderKeys:
    """Keys of an image header that are the same for many images.

    Parameters
    ----------
    config
        Configuration of the detector.
    """

    def __init__(self, config: DetectorConfig) -> None:
        off = sorted(set(config.deactivate))
        self._of_detector = {
            "detector_name": config.name,
            "module_map": [-1 if module in off else module for module in range(config.n_modules)],
            "disabled_modules": off,
        }
        self._by_calibration: dict[int, dict[str, Any]] = {}

    def forget_calibrations(self) -> None:
        """Forget the calibrations of a ring that was replaced."""
        self._by_calibration.clear()

    def knows(self, calibration: int) -> bool:
        """Return whether the files of a calibration are known."""
        return calibration in self._by_calibration

    def learn(self, notes: dict[str, Any]) -> None:
        """Read the calibrations from the notes of the ring."""
        for entry in calibrations_of(notes):
            self._by_calibration[entry["index"]] = {
                key: file["path"] for file in entry["files"] if (key := _CALIBRATION_KEYS.get(file["role"])) is not None
            }

    def keys(self, calibration: int) -> dict[str, Any]:
        """Return the keys for an image to which this calibration was applied."""
        return self._of_detector | self._by_calibration.get(calibration, {})
