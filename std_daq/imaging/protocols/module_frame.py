"""ModuleFrame: the header of one module's frame in the FrameBuffer."""

import numpy as np

CACHE_LINE = 64


def module_frame_dtype(n_units: int) -> np.dtype:
    """Return the dtype of the header for frames of ``n_units`` units (see PacketLayout).

    Its size is a whole number of cache lines. ``generation`` is odd while packets are being placed, and even when the
    frame has ended. Bit ``i`` of ``received`` is set when unit ``i`` has arrived.
    """
    fields: list[tuple[str, object] | tuple[str, object, tuple[int]]] = [
        ("generation", "<u8"),
        ("id", "<u8"),
        ("pulse_id", "<u8"),
        ("frame_index", "<u8"),
        ("daq_rec", "<u8"),
        ("timestamp", "<u8"),
        ("first_arrival_ns", "<u8"),
        ("last_arrival_ns", "<u8"),
        ("exposure_length", "<u8"),  # in units of the detector
        ("n_received_packets", "<u4"),
        ("n_missing_packets", "<u4"),  # valid once the frame has ended
        ("n_received_units", "<u4"),
        ("epoch", "<u4"),
        ("module_id", "<u2"),  # as in the packets
        ("pos_y", "<u2"),
        ("pos_x", "<u2"),
        ("storage_cell", "<u2"),
        ("n_refused_packets", "<u4"),  # may rise after the frame has ended
        ("reserved", "<u4"),
        ("received", "<u8", ((n_units + 63) // 64,)),
    ]
    packed = np.dtype(fields).itemsize
    padded = -(-packed // CACHE_LINE) * CACHE_LINE
    if padded > packed:
        fields.append(("padding", f"V{padded - packed}"))
    return np.dtype(fields)
