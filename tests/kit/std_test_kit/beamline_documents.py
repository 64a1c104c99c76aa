"""Configurations of whole beamlines, small enough for two cores."""

from pathlib import Path
from typing import Any

from std_test_kit.free_ports import free_udp_ports

JUNGFRAU = {
    "detector_type": "jungfrau",
    "n_modules": 2,
    "bit_depth": 16,
    "image_pixel_height": 1024,
    "image_pixel_width": 1024,
    "module_positions": {"0": [0, 0, 1023, 511], "1": [0, 512, 1023, 1023]},
}
EIGER = {
    "detector_type": "eiger",
    "n_modules": 4,
    "bit_depth": 16,
    "image_pixel_height": 514,
    "image_pixel_width": 1030,
    "module_positions": {
        "0": [0, 258, 513, 513],
        "1": [516, 258, 1029, 513],
        "2": [0, 255, 513, 0],
        "3": [516, 255, 1029, 0],
    },
}
GIGAFROST = {
    "detector_type": "gigafrost",
    "n_modules": 8,
    "bit_depth": 12,
    "image_pixel_height": 128,
    "image_pixel_width": 480,
    "module_positions": {},
}
DETECTORS = {"jungfrau": JUNGFRAU, "eiger": EIGER, "gigafrost": GIGAFROST}
SECTIONS = {"udp", "shared_memory", "writer"}
PORTS = {"jungfrau": 2, "eiger": 4, "gigafrost": 16}


def beamline_document(kind: str, name: str, folder: Path, shm_dir: Path, **changes: Any) -> dict[str, Any]:
    """Return the document of a beamline's detector.json.

    Parameters
    ----------
    kind
        ``jungfrau``, ``eiger`` or ``gigafrost``.
    name
        Name of the detector.
    folder
        Where runs may be written.
    shm_dir
        Where its rings are.
    changes
        Keys; those of the sections ``udp``, ``shared_memory`` and ``writer`` are added to what is there.
    """
    document: dict[str, Any] = {
        "detector_name": name,
        **DETECTORS[kind],
        "ram_buffer_gb": 0.4,
        "udp": {"address": "127.0.0.1"},
        "shared_memory": {"directory": str(shm_dir), "frame_buffer_gb": 0.3},
        "writer": {"output_roots": [str(folder)], "image_timeout_s": 3.0, "min_free_gb": 0.0},
    }
    for key, value in changes.items():
        document[key] = {**document[key], **value} if key in SECTIONS and key in document else value
    n_ports = PORTS[kind] if document["n_modules"] == DETECTORS[kind]["n_modules"] else document["n_modules"]
    n_ports *= document["udp"].get("numinterfaces", 1)
    document.setdefault("start_udp_port", free_udp_ports(n_ports))
    return document
