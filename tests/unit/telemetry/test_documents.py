import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

import pytest
from prometheus_client import CollectorRegistry

from std_daq.service.readiness import Readiness
from std_daq.telemetry.documents import Document, Query, QueryRefusedError, number_in
from std_daq.telemetry.endpoint import TelemetryEndpoint
from std_daq.telemetry.unix_http import UnixConnection


def echo(query: Query) -> object:
    if "busy" in query:
        raise QueryRefusedError("ask later", HTTPStatus.SERVICE_UNAVAILABLE)
    return {"n": number_in(query, "n", 7, lowest=1, highest=100)}


def fail(_: Query) -> object:
    raise RuntimeError("nobody foresaw this")


def err(_: Query) -> object:
    raise ValueError("a fault of the service, not of who asks")


class Offering:
    """A service with documents."""

    is_ready = True
    documents: ClassVar = {
        "/echo": Document(echo),
        "/own": Document(echo, is_of_machine=True),
        "/fails": Document(fail),
        "/errs": Document(err),
    }


@pytest.fixture
def endpoint(runtime: Path) -> Iterator[TelemetryEndpoint]:
    readiness = Readiness()
    readiness.service = Offering()
    path = runtime / "one.sock"
    endpoint = TelemetryEndpoint("127.0.0.1", 0, CollectorRegistry(), readiness.why_not, path, readiness.document)
    yield endpoint
    endpoint.close()


def ask(endpoint: TelemetryEndpoint, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"{endpoint.url}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@pytest.mark.parametrize(
    ("path", "status", "content"),
    [
        ("/echo", 200, {"n": 7}),
        ("/echo?n=12", 200, {"n": 12}),
        ("/echo?n=0", 400, {"reason": "n is an integer from 1 to 100, not '0'"}),
        ("/echo?n=%C2%B2", 400, {"reason": "n is an integer from 1 to 100, not '²'"}),
        ("/echo?busy", 503, {"reason": "ask later"}),
        ("/echo?" + "a=1&" * 50, 400, {"reason": "the query has more than 20 values"}),
        ("/fails", 500, {"reason": "RuntimeError('nobody foresaw this')"}),
        ("/errs", 500, {"reason": "ValueError('a fault of the service, not of who asks')"}),
    ],
)
def test_document_answers_its_query(endpoint: TelemetryEndpoint, path: str, status: int, content: object) -> None:
    found, body = ask(endpoint, path)
    assert (found, json.loads(body)) == (status, content)


def test_document_of_the_machine_is_given_at_the_unix_socket_alone(endpoint: TelemetryEndpoint, runtime: Path) -> None:
    assert ask(endpoint, "/own")[0] == 404
    connection = UnixConnection(runtime / "one.sock", timeout_s=5)
    connection.request("GET", "/own")
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"n": 7})
    connection.close()


def test_warnings_which_name_files_are_told_at_the_unix_socket_alone(
    endpoint: TelemetryEndpoint, runtime: Path
) -> None:
    for path in ("/warnings", "/warnings?", "//warnings"):
        assert ask(endpoint, path)[0] == 404
    connection = UnixConnection(runtime / "one.sock", timeout_s=5)
    connection.request("GET", "/warnings")
    answer = connection.getresponse()
    assert (answer.status, type(json.loads(answer.read()))) == (200, list)
    connection.close()


def test_unknown_path_is_not_found(endpoint: TelemetryEndpoint) -> None:
    assert ask(endpoint, "/else")[0] == 404
    with socket.create_connection(("127.0.0.1", endpoint.port), 5.0) as client:
        client.sendall(b"GET //[ HTTP/1.0\r\n\r\n")  # no URL
        assert client.makefile("rb").readline().split()[1] == b"404"


def test_service_that_does_not_run_offers_nothing() -> None:
    readiness = Readiness()
    assert readiness.document("/echo") is None
    readiness.service = Offering()
    assert readiness.document("/echo") is Offering.documents["/echo"]
