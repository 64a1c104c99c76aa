"""Writing a pedestal file as `std_daq.imaging.detectors.jungfrau.tables` reads it."""

import os
from pathlib import Path
from typing import Any

from std_daq.errors import ConfigError
from std_daq.imaging.detectors.jungfrau.pedestal import STAGE_NAMES, PedestalResult
from std_daq.imaging.detectors.jungfrau.tables import MASK_CONVENTION


def write_pedestal_file(
    path: Path, result: PedestalResult, *, attributes: dict[str, Any] | None = None, overwrite: bool = False
) -> None:
    """Write ``/gains`` (the pedestals), ``/pixel_mask``, ``/rms``, ``/n_samples`` and ``/n_frames``.

    The file appears at once under its name when it is whole, so services that reload it never see a part.

    Parameters
    ----------
    attributes
        Attributes of the file: where and when it was taken, for instance.
    overwrite
        Whether a file of this name is replaced.

    Raises
    ------
    ConfigError
        When the file exists, or cannot be written.
    """
    import h5py

    if path.exists() and not overwrite:
        raise _exists(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(part, "w") as file:
            file.attrs.update(attributes or {})
            for name, values in (("gains", result.mean), ("rms", result.rms), ("n_samples", result.n_samples)):
                file[name] = values
                file[name].attrs["planes"] = ", ".join(STAGE_NAMES[: len(values)])
            file["gains"].attrs["units"] = file["rms"].attrs["units"] = "ADU"
            file["n_frames"] = result.n_frames
            file["pixel_mask"] = result.pixel_mask
            file["pixel_mask"].attrs["convention"] = MASK_CONVENTION
        if overwrite:
            part.replace(path)
        else:
            # A link, not a rename: it fails where the name was taken in the meantime.
            path.hardlink_to(part)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise ConfigError(f"the pedestal file cannot be written: {error}", file=path) from None
    finally:
        part.unlink(missing_ok=True)


def _exists(path: Path) -> ConfigError:
    return ConfigError("the file exists", file=path, remedy="give another name, or say that it may be overwritten")
