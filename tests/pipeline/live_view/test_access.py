"""TLS, client certificates and the token of a real std-live-view."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc

from std_daq.telescope.daqdata import daq_data_pb2 as messages
from std_test_kit.daqdata_clients import TableClient
from std_test_kit.live_view_calls import Code, fails, live_view
from std_test_kit.live_view_process import LiveViewProcess
from std_test_kit.wait import wait_until


def certificates(folder: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name in ("server", "client"):
        pair = authority.issue_cert("127.0.0.1", "localhost")
        pair.private_key_pem.write_to_path(str(folder / f"{name}-key.pem"))
        pair.cert_chain_pems[0].write_to_path(str(folder / f"{name}.pem"))
    return authority


def test_port_with_tls_takes_only_clients_with_a_certificate_of_the_authority(tmp_path: Path) -> None:
    certificates(tmp_path)
    tls = {
        "cert_file": str(tmp_path / "server.pem"),
        "key_file": str(tmp_path / "server-key.pem"),
        "client_ca_file": str(tmp_path / "ca.pem"),
    }
    authority, key, certificate = (
        (tmp_path / name).read_bytes() for name in ("ca.pem", "client-key.pem", "client.pem")
    )
    with live_view(port=0, tls=tls) as (process, _):
        wait_until(lambda: bool(process.logged("listening")), 5.0)
        target = f"127.0.0.1:{process.logged('listening')[0]['port']}"
        answers = []
        for credentials in (
            grpc.ssl_channel_credentials(authority, key, certificate),
            grpc.ssl_channel_credentials(authority),
            None,
        ):
            channel = grpc.insecure_channel(target) if credentials is None else grpc.secure_channel(target, credentials)
            with channel:
                try:
                    channel.unary_unary("/daqdata.DaqData/Ping")(b"", timeout=5)
                    answers.append("answered")
                except grpc.RpcError as refused:
                    answers.append(refused.code().name)
        assert answers == ["answered", "UNAVAILABLE", "UNAVAILABLE"]


@pytest.mark.parametrize("mode", ["uds", "rpc"])
def test_calls_without_the_token_are_refused_and_health_is_open(mode: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("open sesame\n")
    start = {"simulate": True, "update_interval_s": 0.01}
    simulation = {"mode": mode}
    with (
        LiveViewProcess(token_file=str(tmp_path / "token"), start=start, simulation=simulation) as process,
        TableClient(process.target) as client,
    ):
        for call in (client.init, client.status, lambda: next(client.stream()), lambda: client.upload([])):
            with fails(Code.UNAUTHENTICATED):
                call()
        health = health_pb2_grpc.HealthStub(client.channel)  # type: ignore[no-untyped-call]
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1
        request = messages.StreamImagesRequest(stream_movie_data=True).SerializeToString()
        for token, expected in (("open sesame", None), ("open", Code.UNAUTHENTICATED)):
            call = client.channel.unary_stream("/daqdata.DaqData/StreamImages")(
                request, metadata=[("authorization", f"Bearer {token}")], timeout=20
            )
            with contextlib.nullcontext() if expected is None else fails(expected):
                next(call)


@pytest.mark.long
def test_gateway_is_let_in_by_an_edge_with_tls_and_token_and_tells_why_another_is_not(tmp_path: Path) -> None:
    certificates(tmp_path)
    (tmp_path / "token").write_text("open sesame\n")
    (tmp_path / "other").write_text("open\n")
    files = {"cert_file": "server.pem", "key_file": "server-key.pem", "client_ca_file": "ca.pem"}
    tls = {key: str(tmp_path / name) for key, name in files.items()}
    token, start = str(tmp_path / "token"), {"simulate": True, "update_interval_s": 0.05}
    with LiveViewProcess(port=0, tls=tls, token_file=token, start=start) as edge:
        wait_until(lambda: bool(edge.logged("listening")), 5.0)
        target = f"127.0.0.1:{edge.logged('listening')[0]['port']}"
        own = {"cert_file": "client.pem", "key_file": "client-key.pem", "ca_file": "ca.pem", "token_file": "token"}
        allowed = {key: str(tmp_path / name) for key, name in own.items()}
        with live_view(gateway={"edges": [target]} | allowed) as (_, client):
            assert next(client.stream()).pano_image.module_id == 224
            assert client.init(simulate_daq=True, update_interval_seconds=0.05).success
            assert client.status().message == f"{target}: hp_io task is initialized and valid."
        without_certificate = {"ca_file": allowed["ca_file"], "token_file": token}
        wrong_token = allowed | {"token_file": str(tmp_path / "other")}
        for gateway, why in (
            ({}, "UNAVAILABLE"),
            (without_certificate, "UNAVAILABLE"),
            (wrong_token, "UNAUTHENTICATED"),
        ):
            with live_view(gateway={"edges": [target]} | gateway) as (_, client):
                answer = client.init(simulate_daq=True)
                assert not answer.success
                assert answer.error_message.startswith(f"{target}: {why}: ")
                assert client.status().message.startswith(f"{target}: {why}: ")
                assert client.ping(5.0)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ({"token_file": "no-such-file"}, "key 'token_file': cannot be read"),
        ({"token_file": "empty"}, "key 'token_file': the file is empty"),
        (
            {"tls": {"cert_file": "live.json", "key_file": "live.json"}},
            "key 'tls.cert_file': certificate and key do not fit",
        ),
        ({"tls": {"cert_file": "no-such-file", "key_file": "live.json"}}, "key 'tls.cert_file': cannot be read"),
    ],
)
def test_file_of_the_access_that_is_wrong_is_named(config: dict[str, Any], what: str) -> None:
    process = LiveViewProcess(**config)
    (process.folder / "empty").touch()
    command = [sys.executable, "-m", "std_live_view", "--config", str(process.folder / "live.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert what in done.stderr
    process.__exit__()
