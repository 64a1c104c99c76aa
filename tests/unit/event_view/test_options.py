"""Options of the view: how browsers are served, and when the configuration starts the view."""

import argparse
from typing import Any

import pytest

from std_daq.errors import ArgumentError
from std_daq.tpc.config import BrowserConfig, TpcConfig
from std_event_view.options import add_arguments, browser_of
from std_event_view.service import SERVICE

CHAMBER = {
    "detector_name": "chamber",
    "detector_type": "get-tpc",
    "exporters": ["127.0.0.1:26491"],
    "pads": {},
    "boards": [[0, 0]],
}


def parsed(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(options)


@pytest.mark.parametrize(
    ("options", "configured", "expected"),
    [
        ((), None, None),
        ((), {}, {}),
        (("--browser",), None, {}),
        (("--browser", "9191"), None, {"port": 9191}),
        (("--browser",), {"port": 9191}, {"port": 9191}),
        (("--browser", "9192"), {"port": 9191, "data_port": 9300}, {"port": 9192, "data_port": 9300}),
        (("--browser-host", "daq.site.org"), {"port": 9191}, {"port": 9191, "host": "daq.site.org"}),
        (
            ("--browser", "--browser-host", "::1", "--browser-data-port", "9300", "--browser-listen", "::"),
            None,
            {"host": "::1", "data_port": 9300, "listen": "::"},
        ),
    ],
)
def test_options_go_before_what_the_configuration_says(
    options: tuple[str, ...], configured: dict[str, Any] | None, expected: dict[str, Any] | None
) -> None:
    config = None if configured is None else BrowserConfig(**configured)
    assert browser_of(parsed(*options), config) == (None if expected is None else BrowserConfig(**expected))


@pytest.mark.parametrize("option", ["--browser-host", "--browser-listen", "--browser-data-port"])
def test_an_option_for_browsers_that_are_not_served_is_refused(option: str) -> None:
    with pytest.raises(ArgumentError, match="no browsers are served; give --browser as well"):
        browser_of(parsed(option, "9300"), None)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--browser-host", "http://daq"),
        ("--browser-listen", "[::]"),
        ("--browser-data-port", "0"),
        ("--browser", "65536"),
    ],
)
def test_a_value_that_cannot_be_is_refused(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed(option, value)
    assert value in capsys.readouterr().err


@pytest.mark.parametrize(
    ("viewer", "n_processes"), [({}, 0), ({"url": "127.0.0.1:9876"}, 1), ({"browser": {}}, 1), ({"browser": None}, 0)]
)
def test_a_chamber_has_a_view_where_there_is_somewhere_to_show_events(viewer: dict[str, Any], n_processes: int) -> None:
    config = TpcConfig.model_validate({**CHAMBER, "viewer": viewer})
    assert len(SERVICE.instances(config)) == n_processes
