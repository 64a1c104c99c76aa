"""Prints as JSON what DIALS makes of a file: read_with_dxtbx.py FILE. Runs with the Python of DIALS."""

import json
import sys

from dxtbx.model.experiment_list import ExperimentListFactory

experiments = ExperimentListFactory.from_filenames([sys.argv[1]])
first = experiments[0]
panel = first.detector[0]
imageset = first.imageset
pixels = imageset.get_raw_data(0)[0]
mask = imageset.get_mask(0)[0]
json.dump(
    {
        "n_experiments": len(experiments),
        "oscillation": list(first.scan.get_oscillation()) if first.scan else None,
        "n_images": len(imageset),
        "exposure_s": first.scan.get_exposure_times()[0] if first.scan else None,
        "axis": list(first.goniometer.get_rotation_axis()) if first.goniometer else None,
        "distance_mm": panel.get_distance(),
        "beam_px": list(panel.get_beam_centre_px(first.beam.get_s0())) if panel.get_distance() > 0 else None,
        "wavelength": first.beam.get_wavelength(),
        "pixels": list(pixels),
        "is_good": list(mask),
    },
    sys.stdout,
    allow_nan=True,
)
