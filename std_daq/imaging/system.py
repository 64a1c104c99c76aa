"""The system of images: detectors that are described by a ``detector.json``."""

from typing import Any

from std_daq.config.paths import runtime_dir
from std_daq.config.system import System
from std_daq.imaging.config.experiment import Experiment
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.registry import detector_types, open_detector
from std_daq.imaging.detectors.schema import add_detector_options


def _add_to_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return add_detector_options(schema, detector_types())


def _summarise(config: DetectorConfig) -> dict[str, str]:
    detector = open_detector(config)
    calibration = detector.converter().calibration
    height, width = config.image_shape
    last_port = config.start_udp_port + detector.n_ports - 1
    layout = detector.packet_layout(0)
    packets = f"{layout.packets_per_frame}{'' if layout.units_per_packet else ' or more'} a frame"
    return {
        "detector": f"{config.name} ({config.detector_type})",
        "modules": f"{config.n_modules}" + (f", off: {config.deactivate}" if config.deactivate else ""),
        "image": f"{width} x {height} {detector.image_dtype}",
        "udp_ports": f"{config.start_udp_port} to {last_port} on {config.udp.address}",
        "packets": f"{packets}, of up to {layout.max_packet_bytes} bytes" + _in_turn(config.udp.numdst),
        "rings": f"{config.shared_memory.directory}/{config.name}-*",
        "runtime_directory": str(runtime_dir(config)),
        "request_tag": config.tag,
        "calibration": ", ".join(f"{used.role} {used.path}" for used in calibration) or "none",
    }


def _in_turn(n_servers: int) -> str:
    return "" if n_servers == 1 else f"; one frame in {n_servers} comes to this server"


SYSTEM = System(
    name="images",
    file="detector.json",
    model=DetectorConfig,
    add_to_schema=_add_to_schema,
    summarise=_summarise,
    experiment=Experiment,
)
