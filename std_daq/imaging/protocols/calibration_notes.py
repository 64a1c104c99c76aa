"""The calibrations in the notes of an ImageBuffer, read without trust: they may come from another server."""

from typing import Any

_TEXTS = ("role", "path", "sha256")


def calibrations_of(notes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calibrations of a ring, the newest last; what is no calibration is left out.

    Whoever reads them would read them again after a restart, so nonsense in them must end nobody.

    Returns
    -------
    A document for each: ``index``, an integer, and ``files``, a list of documents with the texts ``role``, ``path`` and
    ``sha256``.
    """
    found = notes.get("calibration")
    return [one for one in found if _is_calibration(one)] if isinstance(found, list) else []


def _is_calibration(one: Any) -> bool:
    if not (isinstance(one, dict) and type(one.get("index")) is int and isinstance(one.get("files"), list)):
        return False
    return all(
        isinstance(file, dict) and all(isinstance(file.get(key), str) for key in _TEXTS) for file in one["files"]
    )
