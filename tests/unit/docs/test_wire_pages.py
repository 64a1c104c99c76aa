"""The tables of docs/reference/wire are compared with the structs of the code, so that neither goes stale."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from std_daq.imaging.buffers.image_buffer import image_slot_dtype
from std_daq.imaging.config.load import parse_config
from std_daq.imaging.detectors.gigafrost.packets import GF_HEADER
from std_daq.imaging.detectors.sls_packets import SLS_HEADER
from std_daq.imaging.protocols.array_stream import encode_header
from std_daq.imaging.protocols.image_metadata import IMAGE_METADATA, decode_image_metadata
from std_daq.imaging.protocols.module_entry import MODULE_ENTRY
from std_daq.imaging.protocols.module_frame import module_frame_dtype
from std_daq.imaging.protocols.raw_metadata import RAW_METADATA
from std_daq.imaging.protocols.replication import ACK, CHECKED, HELLO, IMAGE, POSITION, WELCOME
from std_daq.imaging.protocols.store_image import STORE_IMAGE
from std_daq.recording.store_stream import EndRun, FinishRun, StartRun, WriteMaster, WriterReport
from std_daq.shm.journal import CONTROL_WORDS
from std_daq.shm.ring import RingGeometry
from std_daq.shm.segment import HEADER
from std_daq.tpc.events.event_buffer import EVENT_SLOT
from std_daq.tpc.events.metadata import EVENT_METADATA
from std_daq.tpc.reconstruction.results import RESULT_HEADER
from std_live_stream.header_keys import HeaderKeys

PAGES = Path(__file__).parents[3] / "docs" / "reference" / "wire"
N_MODULES, N_WORDS = 11, 5
STRUCTS = {
    ("image-metadata.md", "ImageMetadata"): IMAGE_METADATA,
    ("image-metadata.md", "ModuleEntry"): MODULE_ENTRY,
    ("raw-metadata.md", "RawMetadata"): RAW_METADATA,
    ("module-frame.md", "ModuleFrame"): module_frame_dtype(64 * N_WORDS),
    ("ring-segment.md", "Header"): HEADER,
    ("ring-segment.md", "Header of an image slot"): image_slot_dtype(N_MODULES),
    ("event-metadata.md", "EventMetadata"): EVENT_METADATA,
    ("event-results.md", "Header"): RESULT_HEADER,
    ("ring-segment.md", "Header of an event slot"): EVENT_SLOT,
    ("store-stream.md", "StoreImage"): STORE_IMAGE,
    ("replication.md", "Hello"): HELLO,
    ("replication.md", "Ack"): ACK,
    ("replication.md", "Welcome"): WELCOME,
    ("replication.md", "Image"): IMAGE,
    ("replication.md", "Checked"): CHECKED,
    ("replication.md", "Position"): POSITION,
    ("packet-layouts.md", "slsDetector header, version 2"): SLS_HEADER,
    ("packet-layouts.md", "GIGAFROST header"): GF_HEADER,
}
DETECTOR = {
    "detector_name": "det",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}
MESSAGES: dict[str, type[BaseModel]] = {
    model.__name__: model for model in (StartRun, EndRun, FinishRun, WriteMaster, WriterReport)
}


def sections(page: Path) -> Iterator[tuple[str, str]]:
    """Yield heading and text of each section."""
    parts = re.split(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def rows(text: str, heading: str) -> list[list[str]]:
    """Return the cells of the first table whose first line begins so."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(heading))
    found = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return found


def type_name(dtype: np.dtype[Any]) -> str:
    if dtype == IMAGE_METADATA:
        return "ImageMetadata"
    if dtype == EVENT_METADATA:
        return "EventMetadata"
    if dtype == MODULE_ENTRY:
        return "ModuleEntry"
    if dtype.subdtype is not None:
        element, (length,) = dtype.subdtype
        return f"{type_name(element)}[{ {N_MODULES: 'n_modules', N_WORDS: 'n_words'}.get(length, length) }]"
    if dtype.kind == "S":
        return f"char[{dtype.itemsize}]"
    assert dtype.isnative or dtype.itemsize == 1, "all numbers are little-endian"
    return f"{ {'u': 'u', 'f': 'f', 'i': 'i'}[dtype.kind] }{8 * dtype.itemsize}"


def described(struct: np.dtype[Any]) -> list[list[str]]:
    fields = struct.fields
    assert fields is not None
    names = [name for name in struct.names or () if name != "padding"]
    return [[str(fields[name][1]), type_name(fields[name][0]), f"`{name}`"] for name in names]


@pytest.mark.parametrize(("page", "heading"), STRUCTS)
def test_table_has_the_fields_offsets_and_types_of_the_struct(page: str, heading: str) -> None:
    text = dict(sections(PAGES / page))[heading]
    assert [row[:3] for row in rows(text, "| offset | type | field |")] == described(STRUCTS[page, heading])


@pytest.mark.parametrize(("page", "heading"), STRUCTS)
def test_size_in_the_text_is_that_of_the_struct(page: str, heading: str) -> None:
    text = dict(sections(PAGES / page))[heading]
    assert f"{STRUCTS[page, heading].itemsize} bytes" in text


def test_every_table_of_fields_is_compared() -> None:
    found = {
        (page.name, heading)
        for page in PAGES.glob("*.md")
        for heading, text in sections(page)
        if "| offset | type | field |" in text
    }
    assert found == set(STRUCTS)


@pytest.mark.parametrize("name", MESSAGES)
def test_table_has_the_keys_of_the_message(name: str) -> None:
    text = dict(sections(PAGES / "store-stream.md"))[name]
    keys = [row[0] for row in rows(text, "| key | type |")]
    assert keys == [f"`{key}`" for key in MESSAGES[name].model_fields]


def test_header_of_a_live_stream_has_the_keys_that_the_page_says() -> None:
    metadata = decode_image_metadata(bytes(IMAGE_METADATA.itemsize))._replace(dtype=2)
    description = HeaderKeys(parse_config(DETECTOR))
    files = [{"role": role, "path": f"/{role}.h5", "sha256": "0"} for role in ("pedestal", "gain", "mask")]
    description.learn({"calibration": [{"index": 0, "files": files}]})
    text = dict(sections(PAGES / "array-1.0.md"))["First part: header"]
    described_keys = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows(text, "| key | type | meaning |")))
    assert described_keys == list(json.loads(encode_header(metadata, description.keys(0))))


@pytest.mark.parametrize("n_units", [1, 16, 64, 65, 128, 504])
def test_fields_of_a_module_frame_do_not_move_with_the_units(n_units: int) -> None:
    fields, expected = module_frame_dtype(n_units).fields, module_frame_dtype(64 * N_WORDS).fields
    assert fields is not None
    assert expected is not None
    assert [(name, fields[name][1]) for name in expected if name != "padding"] == [
        (name, offset[1]) for name, offset in expected.items() if name != "padding"
    ]


def test_areas_of_a_ring_begin_where_the_page_says() -> None:
    text = dict(sections(PAGES / "ring-segment.md"))["Ring segment"]
    geometry = RingGeometry("images", 5, 3, 4097, 192, 2, 100, 128, {})
    offsets = geometry.offsets()
    sizes = {"control words": 2 * CONTROL_WORDS * 8, "journals": 2 * 100 * 128, "slot headers": 5 * 3 * 192}
    place = 0
    for area, begin, size in (row[:3] for row in rows(text, "| area |")):
        place = -(-place // 4096) * 4096
        key = {"control words": "control", "slot headers": "headers", "slot data": "data"}.get(area, area)
        assert offsets.get(key, 0) == place
        assert begin in {str(place), "next page"}
        place += int(size) if size.isdigit() else sizes.get(area, 5 * 3 * 8192)
    assert offsets["total"] == place


def test_geometry_has_the_keys_that_the_page_says() -> None:
    text = dict(sections(PAGES / "ring-segment.md"))["Header"]
    assert [row[0] for row in rows(text, "| key of the geometry |")] == [f"`{key}`" for key in RingGeometry.__slots__]
