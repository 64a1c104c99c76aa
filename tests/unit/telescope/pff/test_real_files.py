"""Real files of telescopes, with the numbers that a reader must get."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from std_daq.telescope.pff import PffFile
from std_daq.telescope.pff.run_follower import RunFollower
from std_daq.telescope.pff.writer import encode_frame
from std_test_kit.shared_data import REAL_TELESCOPE, needs_data

pytestmark = needs_data(REAL_TELESCOPE)


def expected() -> list[dict[str, Any]]:
    path = REAL_TELESCOPE / "expected.json"
    return json.loads(path.read_text())["pff"] if path.exists() else []


@pytest.mark.parametrize("case", expected(), ids=lambda case: case["file"])
def test_reader_gets_the_known_numbers(case: dict[str, Any]) -> None:
    with PffFile(REAL_TELESCOPE / case["file"]) as file:
        assert (len(file), file.n_tail_bytes) == (case["frames"], case["tail_bytes"])
        assert (file.header_bytes, file.frame_bytes) == (case["header_bytes"], case["frame_bytes"])
        assert hashlib.sha256(file.pixels.tobytes()).hexdigest() == case["pixels_sha256"]
        digests = [hashlib.sha256(frame.pixels.tobytes()).hexdigest() for frame in file]
        assert digests == case["frame_sha256"]
        assert (int(file.pixels.min()), int(file.pixels.max())) == (case["min"], case["max"])
        assert int(file.pixels.sum(dtype="i8")) == case["sum"]
        assert (file[0].header, file[-1].header) == (case["header_first"], case["header_last"])
        for frame, known in ((file[0], case["white_rabbit_first"]), (file[-1], case["white_rabbit_last"])):
            assert frame.white_rabbit_ns == int(known.replace(".", ""))
        assert file.white_rabbit_ns().tolist() == [frame.white_rabbit_ns for frame in file]


@pytest.mark.parametrize("case", expected(), ids=lambda case: case["file"])
def test_writer_gives_the_same_bytes(case: dict[str, Any]) -> None:
    with PffFile(REAL_TELESCOPE / case["file"]) as file:
        frames = b"".join(encode_frame(frame.pixels, frame.header, file.product) for frame in file)
    assert (REAL_TELESCOPE / case["file"]).read_bytes()[: len(frames)] == frames


def test_follower_delivers_each_frame_of_real_files(tmp_path: Path) -> None:
    for case in expected():
        module_id = case["file"].split("module_")[1].split(".")[0]
        run = tmp_path / f"module_{module_id}" / "obs_Lick.start_2024-07-25T04:34:06Z.runtype_sci-data.pffd"
        run.mkdir(parents=True, exist_ok=True)
        (run / case["file"]).touch()
    follower = RunFollower(tmp_path)
    follower.step()
    for path in tmp_path.rglob("*.pff"):
        path.write_bytes((REAL_TELESCOPE / path.name).read_bytes())
    digests: dict[str, list[str]] = {}
    for frame in follower.step():
        digests.setdefault(frame.file, []).append(hashlib.sha256(frame.pixels).hexdigest())
    assert digests == {case["file"]: case["frame_sha256"] for case in expected()}
