"""Single images over HTTP: pictures, pixels, files."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

from std_daq.config.system import load_any_config
from std_daq.imaging.config.model import DetectorConfig
from std_daq.imaging.display.colour_maps import colour_table
from std_daq.imaging.display.colouring import FAULT_COLOURS
from std_daq.imaging.display.kernels import SATURATED
from std_daq.imaging.files.validate import validate
from std_test_kit.live_images import LiveRing, write_file
from std_test_kit.web_console import RunningConsole
from std_web.live.protocol import decode_image

IMAGES = "/api/v1/detectors/small"
SHAPE = (2016, 2016)


@pytest.fixture
def pixels() -> NDArray[np.uint16]:
    found = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint16)
    found[100, 50] = 65535
    return found


@pytest.fixture
def ring(detector_file: Path, pixels: NDArray[np.uint16]) -> Iterator[LiveRing]:
    config = load_any_config(detector_file)
    assert isinstance(config, DetectorConfig)
    made = LiveRing(config, n_slots=4)
    made.publish(7)
    made.publish(pixels)
    yield made
    made.close()


def test_picture_has_the_colours_of_the_pixels(
    ring: LiveRing, pixels: NDArray[np.uint16], console: RunningConsole
) -> None:
    answer = console.get(f"{IMAGES}/image?region=40,90,60,110&low=0&high=255&colours=grey")
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert (answer.headers["x-image-id"], answer.headers["x-image-sequence"]) == ("1", "1")
    shown = np.asarray(Picture.open(BytesIO(answer.body)))
    expected = colour_table("grey")[np.minimum(pixels[90:110, 40:60], 255)]
    expected[10, 10] = FAULT_COLOURS[SATURATED]
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("scale", ["linear", "sqrt", "log"])
def test_picture_of_the_whole_image_has_the_size_that_was_asked_for(
    ring: LiveRing, console: RunningConsole, scale: str
) -> None:
    answer = console.get(f"{IMAGES}/image?size=200,100&scale={scale}")
    assert answer.status == 200
    assert Picture.open(BytesIO(answer.body)).size == (200, 100)


def test_pixels_come_raw_and_for_numpy(ring: LiveRing, pixels: NDArray[np.uint16], console: RunningConsole) -> None:
    header, values, flags = decode_image(console.get(f"{IMAGES}/image.raw?size=63,63").body)
    np.testing.assert_array_equal(values, pixels.reshape(63, 32, 63, 32).max(axis=(1, 3)))
    assert (header["max"], flags.sum()) == (65535, SATURATED)
    array = np.load(BytesIO(console.get(f"{IMAGES}/image.npy").body))
    np.testing.assert_array_equal(array, pixels)
    past = np.load(BytesIO(console.get(f"{IMAGES}/image.npy?sequence=0&size=4,4").body))
    assert (past == 7).all()


def test_nexus_file_is_one_that_the_readers_of_runs_take(
    ring: LiveRing, pixels: NDArray[np.uint16], console: RunningConsole, tmp_path: Path
) -> None:
    answer = console.get(f"{IMAGES}/image.nxs")
    assert answer.status == 200
    assert "small_1.nxs" in answer.headers["content-disposition"]
    file = tmp_path / "small_1.nxs"
    file.write_bytes(answer.body)
    assert [problem.text for problem in validate(file).problems if problem.severity == "error"] == []
    with h5py.File(file) as opened:
        np.testing.assert_array_equal(opened["entry/data/data"][0], pixels)


def test_images_are_found_by_their_id_as_well(detector_file: Path, console: RunningConsole, tmp_path: Path) -> None:
    config = load_any_config(detector_file)
    assert isinstance(config, DetectorConfig)
    with closing(LiveRing(config, n_slots=4)) as ring:
        assert console.get(f"{IMAGES}/image.nxs?image_id=3").status == 404
        for image_id in (100, 101, 103, 104, 105):
            ring.publish(image_id, image_id=image_id)
        answer = console.get(f"{IMAGES}/image.nxs?image_id=104")
        assert (answer.status, answer.headers["content-disposition"]) == (200, 'attachment; filename="small_104.nxs"')
        with h5py.File(write_file(tmp_path, "small.nxs", answer.body)) as opened:
            assert (opened["entry/data/data"][0] == 104).all()
        for path in ("image", "image.raw", "image.npy"):
            answer = console.get(f"{IMAGES}/{path}?image_id=103&size=8,8")
            assert (answer.status, answer.headers["x-image-id"], answer.headers["x-image-sequence"]) == (
                200,
                "103",
                "2",
            )
            assert console.get(f"{IMAGES}/{path}?image_id=103&sequence=2&size=8,8").body == answer.body
            for query, words in (
                ("image_id=100", "overwritten"),
                ("image_id=102", "never published, though later ones were"),
                ("image_id=106", "still to come"),
                ("image_id=103&sequence=3", "image 103 (by its id) has the sequence number 2"),
            ):
                for of in (path, "image.nxs"):
                    refused = console.get(f"{IMAGES}/{of}?{query}")
                    assert refused.status == 404
                    assert words in refused.json()["detail"]


@pytest.mark.long
@pytest.mark.parametrize("path", ["image", "image.raw", "image.npy"])
def test_an_image_that_the_client_has_is_not_sent_again(ring: LiveRing, console: RunningConsole, path: str) -> None:
    tag = console.get(f"{IMAGES}/{path}").headers["etag"]
    old = console.get(f"{IMAGES}/{path}?sequence=0").headers["etag"]
    assert tag != old
    for seen in (tag, f"W/{tag}", f'"a,b" , {old},{tag}', "*", f"  {tag}  ", f'"", W/{tag}'):
        answer = console.get(f"{IMAGES}/{path}", headers={"If-None-Match": seen})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag), seen
    for other in (old, f"w/{tag[:-2]}", tag.strip('"'), f'"x{tag[1:]}', '"*"', f'"a {tag[1:-1]}"'):
        assert console.get(f"{IMAGES}/{path}", headers={"If-None-Match": other}).status == 200, other
    request = f"GET {IMAGES}/{path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {old}\r\nIf-None-Match: {tag}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", console.port), timeout=10) as client:
        client.sendall(request.encode())
        assert client.recv(100).startswith(b"HTTP/1.1 304 "), "the header may come in several lines"
    for _ in range(5):
        ring.publish(1)
    overwritten = console.get(f"{IMAGES}/{path}?sequence=1", headers={"If-None-Match": "*"})
    assert overwritten.status == 404, "it is not there, so there is nothing that the client could have"


@pytest.mark.parametrize("path", ["image", "image.raw", "image.npy"])
def test_without_images_the_client_has_none_of_them(console: RunningConsole, path: str) -> None:
    assert console.get(f"{IMAGES}/{path}", headers={"If-None-Match": "*"}).status == 404


def test_what_is_not_in_the_ring_is_refused_with_what_is(ring: LiveRing, console: RunningConsole) -> None:
    for _ in range(6):
        ring.publish(1)
    for path in ("image", "image.raw", "image.npy", "image.nxs"):
        answer = console.get(f"{IMAGES}/{path}?sequence=0")
        assert answer.status == 404
        assert "to 7" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["image", "image.raw", "image.npy", "image.nxs"])
def test_without_images_the_answer_says_why(console: RunningConsole, path: str) -> None:
    answer = console.get(f"{IMAGES}/{path}")
    assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")
    assert "is the assembler running?" in answer.json()["detail"]


@pytest.mark.long
@pytest.mark.parametrize(
    "query",
    ["region=1,2,3", "region=a", "size=0,1", "size=5000,1", "size=1", "reduce=min", "scale=x", "colours=jet", "low=a",
     "sequence=-1", "sequence=1e30", "low=nan"],
)  # fmt: skip
def test_wrong_parameters_are_refused(ring: LiveRing, console: RunningConsole, query: str) -> None:
    answer = console.get(f"{IMAGES}/image?{query}")
    assert answer.status == 422, answer.body[:100]
    assert answer.json()["detail"].startswith("query")


def test_mask_and_calibration_are_told_without_images(console: RunningConsole) -> None:
    mask = np.load(BytesIO(console.get(f"{IMAGES}/mask").body))
    assert (mask.shape, mask.dtype) == (SHAPE, np.uint32)
    assert console.get(f"{IMAGES}/calibration").json() == {"in_use": None, "calibrations": []}


def test_detectors_without_images_are_refused(console: RunningConsole) -> None:
    answer = console.get("/api/v1/detectors/unknown/image")
    assert answer.status == 404
    assert "known: small" in json.loads(answer.body)["detail"]
