"""JUNGFRAU packets: four rows of pixels, 8192 bytes, behind the slsDetector header."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from std_daq.imaging.detectors import sls_packets as sls
from std_daq.imaging.detectors.jungfrau.geometry import COLUMNS, ROWS, FrameRows
from std_daq.imaging.detectors.packet_layout import HeaderField, PacketLayout

DETECTOR_TYPE = 3
PAYLOAD_BYTES = 8192
ROWS_PER_PACKET = 4


class RecordingBits(NamedTuple):
    """Bits of the recording word."""

    shift: int
    mask: int

    def of(self, daq_rec: int) -> int:
        """Return the number in these bits."""
        return daq_rec >> self.shift & self.mask

    def field(self) -> HeaderField:
        """Return the same bits as a field of the packet header."""
        return HeaderField(offset=sls.DET_SPEC_3.offset, width=4, shift=self.shift, mask=self.mask)


STORAGE_CELL = RecordingBits(shift=8, mask=15)
N_STORAGE_CELLS = 16
assert ROWS_PER_PACKET * COLUMNS * 2 == PAYLOAD_BYTES  # noqa: S101


def jungfrau_layout(image_id: Literal["frame_number", "pulse_id"], rows: FrameRows) -> PacketLayout:
    """Return the packet layout; a frame of a whole module has 128 packets, each of which is a unit.

    Packets are grouped by frame number, whatever the image id is. Each UDP interface numbers its packets from 0. If not
    all rows are read, the packets that come have the same numbers as if all rows were read.

    Parameters
    ----------
    image_id
        Number that identifies an image. The pulse id is the bunch id, which the header holds as a double.
    rows
        Rows of the submodule that sends the packets.
    """
    return PacketLayout(
        header_bytes=sls.SLS_HEADER.itemsize,
        unit_bytes=PAYLOAD_BYTES,
        n_units=rows.n // ROWS_PER_PACKET,
        first_unit=(rows.first - rows.interface_first) // ROWS_PER_PACKET,
        units_per_packet=1,
        max_units_per_packet=1,
        key=sls.FRAME_NUMBER,
        unit=sls.PACKET_NUMBER,
        image_id=sls.BUNCH_ID_FLOAT if image_id == "pulse_id" else None,
        pulse_id=sls.BUNCH_ID_FLOAT,
        timestamp=sls.TIMESTAMP,
        timestamp_units=sls.TIMESTAMP_UNITS,
        exposure_length=sls.EXPOSURE_LENGTH,
        daq_rec=sls.DET_SPEC_3,
        storage_cell=STORAGE_CELL.field(),
        module_id=sls.MODULE_ID,
        row=sls.ROW,
        column=sls.COLUMN,
        checks=sls.sls_checks(DETECTOR_TYPE),
        identity=sls.IDENTITY,
        range_hints=_range_hints(rows),
    )


def _range_hints(rows: FrameRows) -> dict[tuple[int, int], str]:
    """Return for each other number of rows what to ask the user if only the packets of these rows come."""
    n_packets = rows.interface_n // ROWS_PER_PACKET
    in_middle = ROWS // 2 // ROWS_PER_PACKET - rows.interface_first // ROWS_PER_PACKET  # of the module
    hints = {}
    for n_rows in range(8, ROWS, 8):
        reach = n_rows // 2 // ROWS_PER_PACKET
        first, end = max(in_middle - reach, 0), min(in_middle + reach, n_packets)
        hints[first, end - 1] = f"does the detector read {n_rows} rows? Set detector.readnrows to {n_rows}"
    if rows.interface_n == ROWS:
        hints[0, n_packets // 2 - 1] = "does each module send over two interfaces? Set udp.numinterfaces to 2"
    return hints


def jungfrau_packets(
    submodule: int,
    rows: FrameRows,
    frame_number: int,
    raw: NDArray[Any],
    *,
    pulse_id: int,
    timestamp: int,
    daq_rec: int,
) -> NDArray[np.uint8]:
    """Return the datagrams of one submodule, (n, 8240); of a whole module, n is 128."""
    return sls.sls_packets(
        np.ascontiguousarray(raw, "<u2").view(np.uint8),
        PAYLOAD_BYTES,
        first_packet=(rows.first - rows.interface_first) // ROWS_PER_PACKET,
        frame_number=frame_number,
        bunch_id=np.float64(pulse_id).view(np.uint64),
        timestamp=timestamp,
        module_id=rows.module,
        row=submodule,
        det_spec_3=daq_rec,
        detector_type=DETECTOR_TYPE,
    )
