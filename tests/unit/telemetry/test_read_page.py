"""Pages of a service itself, read at the Unix socket of its endpoint; of the machine alone they are nowhere else."""

import urllib.error
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from std_daq.client.scrape import read_page, scrape
from std_daq.telemetry.documents import Document
from std_daq.telemetry.endpoint import TelemetryEndpoint


def test_page_is_made_when_somebody_asks_and_only_at_the_unix_socket(tmp_path: Path) -> None:
    pages, asked = {}, []
    path = tmp_path / "endpoint.sock"
    endpoint = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), lambda: None, path, pages.get)
    try:
        assert read_page(path, "/last-hits") is None
        pages["/last-hits"] = Document(lambda _: asked.append(1) or {"n": len(asked)}, is_of_machine=True)
        assert read_page(path, "/last-hits") == {"n": 1}
        assert read_page(path, "/last-hits") == {"n": 2}
        assert scrape(path).is_ready
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{endpoint.url}/last-hits", timeout=5)
    finally:
        endpoint.close()


def test_page_that_is_no_object_and_service_that_is_gone_are_no_page(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.sock"
    pages = {"/list": Document(lambda _: [1])}
    endpoint = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), lambda: None, path, pages.get)
    assert read_page(path, "/list") is None
    assert read_page(path, "/unknown") is None
    endpoint.close()
    assert read_page(path, "/list") is None
