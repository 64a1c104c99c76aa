import ssl
import stat
from pathlib import Path

import pytest

from std_daq.cli.__main__ import main
from std_daq.streams.tcp.certificate_check import check_certificate, new_context
from std_daq.streams.tcp.identity import TlsFiles, TlsIdentity


def make(folder: Path, *arguments: str) -> int:
    return main(["certificates", "--output", str(folder), *arguments])


def subject_names(file: Path, ca_file: Path) -> list[tuple[str, str]]:
    """Return the names in a server's certificate, as one sees them who connects."""
    server, client = new_context(is_server=True), new_context(is_server=False)
    server.verify_mode = ssl.CERT_NONE
    server.load_cert_chain(file, file.with_name(file.name.replace("cert", "key")))
    client.check_hostname = False
    client.load_verify_locations(ca_file)
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = client.wrap_bio(one, other), server.wrap_bio(other, one, server_side=True)
    for side in (*sides, *sides):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    shown = sides[0].getpeercert()
    assert shown is not None
    return list(shown["subjectAltName"])  # type: ignore[arg-type]


def test_certificates_are_made_with_an_authority_and_keys_that_nobody_else_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "certificates"
    assert make(folder, "--server", "near.site", "10.1.0.5", "::1", "--client", "far") == 0
    printed = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    names = ("near.site", "10.1.0.5", "__1", "far")
    assert printed == {"ca.pem"} | {f"{name}-{kind}.pem" for name in names for kind in ("cert", "key")}
    assert {file.name for file in folder.iterdir()} == printed | {"ca-key.pem"}
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == (0o600 if file.name.endswith("key.pem") else 0o644)
    files = {name: TlsFiles(folder / "ca.pem", *pair(folder, name), key="tls") for name in names}
    for name in names:
        TlsIdentity(files[name], is_server=name != "far")
    assert subject_names(files["near.site"].cert_file, folder / "ca.pem") == [("DNS", "near.site")]
    assert subject_names(files["10.1.0.5"].cert_file, folder / "ca.pem") == [("IP Address", "10.1.0.5")]


def pair(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}-cert.pem", folder / f"{name}-key.pem"


def test_further_certificates_are_of_the_same_authority(tmp_path: Path) -> None:
    assert make(tmp_path, "--server", "near") == 0
    authority = (tmp_path / "ca.pem").read_bytes()
    assert make(tmp_path, "--client", "far", "--days", "1") == 0
    assert (tmp_path / "ca.pem").read_bytes() == authority
    near, far = (check_certificate(*pair(tmp_path, name), is_server=name == "near") for name in ("near", "far"))
    assert near - far == pytest.approx(824 * 24 * 3600, abs=60)


@pytest.mark.parametrize(
    ("there", "arguments", "said"),
    [
        ("far-cert.pem", ["--server", "near", "--client", "far"], "this file already exists"),
        ("far-key.pem", ["--client", "far"], "this file already exists"),
        ("ca.pem", ["--client", "far"], "exists without ca-key.pem"),
        ("ca-key.pem", ["--client", "far"], "exists without ca.pem"),
        ("something", [], "no name to make a certificate for"),
        ("something", ["--server", "far", "--client", "far"], "twice"),
        ("something", ["--server", "../far"], "not a host name"),
        ("something", ["--server", "-far"], "expected at least one argument"),
        ("something", ["--client", "ca"], "not a host name"),
    ],
)
def test_nothing_is_made_where_something_is_wrong_or_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], there: str, arguments: list[str], said: str
) -> None:
    (tmp_path / there).write_text("mine")
    try:
        exit_code: object = make(tmp_path, *arguments)
    except SystemExit as ended:
        exit_code = ended.code
    assert exit_code == 2
    assert said in capsys.readouterr().err
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {there: "mine"}


def test_openssl_that_is_not_there_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert make(tmp_path / "certificates", "--client", "far") == 1
    assert "apt install openssl" in capsys.readouterr().err
