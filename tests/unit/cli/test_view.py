import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from std_daq.cli.__main__ import main
from std_daq.cli.terminal_picture import TerminalPicture
from std_daq.cli.view import describe
from std_daq.imaging.protocols.array_stream import ArrayImage

CONFIG = {
    "detector_name": "det",
    "detector_type": "jungfrau",
    "n_modules": 1,
    "bit_depth": 16,
    "image_pixel_height": 512,
    "image_pixel_width": 1024,
    "start_udp_port": 50000,
}


def lines_of(pixels: np.ndarray, columns: int, rows: int, **settings: Any) -> list[str]:
    """Return the lines of the picture in a window that has room for so many rows of it."""
    below = ["c", "line of the cursor"]
    console = Console(
        width=columns,
        height=rows + len(below),
        force_terminal=True,
        **{"color_system": "truecolor", "no_color": False} | settings,
    )
    with console.capture() as captured:
        console.print(TerminalPicture(pixels, "c"), end="")
    *lines, caption = captured.get().splitlines()
    assert caption == "c"
    return lines


@pytest.mark.parametrize(
    "shape", [(512, 1024), (1024, 512), (3264, 3106), (40, 30), (2, 1), (1, 1), (1, 5000), (5000, 1)]
)
def test_picture_fits_the_terminal(shape: tuple[int, int]) -> None:
    lines = [line for line in lines_of(np.arange(np.prod(shape)).reshape(shape), 60, 20) if line]
    assert 1 <= len(lines) <= 20
    assert all(1 <= line.count("\u2580") <= 60 for line in lines)


def test_picture_shows_what_is_bright_in_its_place() -> None:
    pixels = np.zeros((4, 4))
    pixels[0, 3] = 1.0
    first, second = (line for line in lines_of(pixels, 4, 2) if line)
    yellow, blue = "38;2;253;231;37", "38;2;68;1;84"
    assert first.count(yellow) == 1
    assert first.rindex(yellow) > first.rindex(blue)
    assert yellow not in second


@pytest.mark.parametrize("settings", [{"no_color": True}, {"color_system": None}])
def test_picture_without_colours_is_the_fuller_the_brighter(settings: dict[str, Any]) -> None:
    pixels = np.arange(20.0).repeat(20).reshape(20, 20).T
    lines = lines_of(pixels, 20, 10, **settings)
    assert len(lines) == 10
    assert list(dict.fromkeys(lines[0])) == list(" .:-=+*#%@")
    assert lines[0][0] == " "
    assert lines[0][-1] == "@"
    pixels[:4] = np.nan
    assert lines_of(pixels, 20, 10, **settings)[:2] == ["?" * 20] * 2


def test_long_caption_gets_room_in_a_small_window() -> None:
    console = Console(width=20, height=8, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(TerminalPicture(np.eye(40), "words " * 9), end="")
    lines = captured.get().splitlines()
    assert 4 <= len(lines) <= 7
    assert [line.strip() for line in lines[-3:]] == ["words words words"] * 3


def test_image_without_any_value_is_shown_and_described() -> None:
    pixels = np.full((4, 4), np.nan, np.float32)
    assert lines_of(pixels, 4, 2)
    assert describe(ArrayImage(7, pixels, {"is_good_frame": False})) == "image 7  4 x 4 float32  not good"


def test_configuration_without_a_stream_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(CONFIG))
    assert main(["view", "--config", str(file)]) == 2
    assert "key 'live_stream_configs': no live stream is configured" in capsys.readouterr().err


def test_every_address_of_a_machine_is_looked_at_from_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "detector.json"
    file.write_text(json.dumps(CONFIG | {"live_stream_configs": {"tcp://*:9": {"type": "forward"}}}))
    assert main(["view", "--config", str(file), "--timeout-s", "0.05"]) == 1
    assert "no image arrived from tcp://127.0.0.1:9 " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp://127.0.0.1:9", "nobody listens there"),
        ("tcp://nobody.invalid:9", "(no host of this name is known|its name cannot be looked up)"),  # without a network
        ("ipc:///nowhere/s", "there is no such folder, or no such file: the program that makes it does not run"),
    ],
)
def test_view_says_why_no_image_came(address: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", "--address", address, "--timeout-s", "0.05"]) == 1
    told = f"{re.escape(f'no image arrived from {address} within 0.05 s; ')}{why}"
    assert re.search(told, capsys.readouterr().err)


@pytest.mark.parametrize("address", ["nonsense", "tcp://nowhere", "udp:/x", "tcp://127.0.0.1:99999", "tcp://a:0"])
def test_what_is_no_address_is_told(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["view", "--address", address])
    assert ended.value.code == 2
    assert f"argument --address: '{address}' is not an address" in capsys.readouterr().err
