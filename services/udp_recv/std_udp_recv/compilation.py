"""Compiles the receive loop into the cache on disk, so that the first start of the service is as quick as any other.

The compiled loop is the same for all detectors.
"""

import tempfile
from pathlib import Path

from std_daq.config.system import load_any_config
from std_daq.imaging.buffers.frame_buffer import FrameBuffer
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout
from std_udp_recv.port import make_port
from std_udp_recv.port_receiver import compile_receiver

_LAYOUT = PacketLayout(
    header_bytes=16,
    unit_bytes=4096,
    n_units=1,
    units_per_packet=1,
    max_units_per_packet=1,
    key=HeaderField(offset=0, width=8),
    unit=HeaderField(offset=8, width=8),
)


def compile_loop(config_file: Path | None) -> None:
    """Compile the receive loop, unless this server receives no packets, as one that receives images by stream_recv."""
    if config_file is not None:
        config = load_any_config(config_file)
        if not isinstance(config, DetectorConfig) or config.replication.receive is not None:
            return
    with tempfile.TemporaryDirectory() as folder:
        ring, _ = FrameBuffer.create(
            Path(folder) / "ring",
            n_modules=1,
            frame_bytes=_LAYOUT.frame_bytes,
            n_units=_LAYOUT.n_units,
            buffer_bytes=0,
            n_slots=16,
        )
        compile_receiver(make_port(_LAYOUT, ring, 0, window_frames=1, key_step=1, epoch=0))
        ring.close()
