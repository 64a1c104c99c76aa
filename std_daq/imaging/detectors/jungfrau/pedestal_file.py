"""Writing of pedestal files, which `std_daq.imaging.detectors.jungfrau.tables` reads."""

import os
from pathlib import Path
from typing import Any

from std_daq.errors import HDF5_ERRORS, ConfigError
from std_daq.imaging.detectors.jungfrau.pedestal import STAGE_NAMES, PedestalResult
from std_daq.imaging.detectors.jungfrau.tables import MASK_CONVENTION


def write_pedestal_file(
    path: Path, result: PedestalResult, *, attributes: dict[str, Any] | None = None, overwrite: bool = False
) -> None:
    """Write ``/gains`` (the pedestals), ``/pixel_mask``, ``/rms``, ``/n_samples`` and ``/n_frames``.

    The file gets its name only when it is complete, so a service that reloads it never reads an incomplete file.

    Parameters
    ----------
    attributes
        Attributes of the file, for example where and when it was measured.
    overwrite
        Whether to replace an existing file.

    Raises
    ------
    ConfigError
        The file exists, or cannot be written.
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
            # A link, not a rename: a link fails if another file got the name in the meantime.
            path.hardlink_to(part)
    except FileExistsError:
        raise _exists(path) from None
    except HDF5_ERRORS as error:
        raise ConfigError(f"the pedestal file cannot be written: {error}", file=path) from None
    finally:
        part.unlink(missing_ok=True)


def _exists(path: Path) -> ConfigError:
    return ConfigError("the file exists", file=path, remedy="give another name, or say that it may be overwritten")
