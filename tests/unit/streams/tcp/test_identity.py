"""Files of certificates that cannot be used are named at the start, with the reason and what to do."""

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from std_daq.errors import ConfigError
from std_daq.streams.tcp.authority import CA_FILE, Authority, Part
from std_daq.streams.tcp.identity import TlsFiles, TlsIdentity
from tests.unit.streams.tcp.conftest import Certificates


@pytest.fixture
def files(certificates: Certificates) -> TlsFiles:
    return certificates.write("near")


def error_of(files: TlsFiles, *, is_server: bool = True) -> ConfigError:
    with pytest.raises(ConfigError) as raised:
        TlsIdentity(files, is_server=is_server)
    return raised.value


def encrypt(key_file: Path, *arguments: str) -> None:
    plain = key_file.with_suffix(".plain")
    shutil.move(key_file, plain)
    command = ["openssl", *arguments, "-in", plain, "-out", key_file, "-passout", "pass:secret"]
    subprocess.run(command, check=True, capture_output=True)
    key_file.chmod(0o600)


BROKEN: list[tuple[str, str, Callable[[TlsFiles], object]]] = [
    ("ca_file", "No such file", lambda files: files.ca_file.unlink()),
    ("cert_file", "No such file", lambda files: files.cert_file.unlink()),
    ("key_file", "No such file", lambda files: files.key_file.unlink()),
    ("ca_file", "no certificate that can be read", lambda files: files.ca_file.write_text("nothing")),
    ("cert_file", "contains no certificate", lambda files: files.cert_file.write_text("nothing")),
    ("key_file", "contains no private key", lambda files: files.key_file.write_text("nothing")),
    ("cert_file", "cannot be read", lambda files: files.cert_file.write_text(cut(files.cert_file))),
    ("cert_file", "cannot be read", lambda files: files.key_file.write_text(cut(files.key_file))),
    ("key_file", "other users may read or write", lambda files: files.key_file.chmod(0o644)),
    ("key_file", "is encrypted", lambda files: encrypt(files.key_file, "pkcs8", "-topk8", "-v2", "aes256")),
    ("key_file", "is encrypted", lambda files: encrypt(files.key_file, "ec", "-aes256")),
]


def cut(file: Path) -> str:
    lines = file.read_text().splitlines()
    return "\n".join([lines[0], "broken", lines[-1]])


@pytest.mark.parametrize(("name", "problem", "break_it"), BROKEN)
def test_file_that_cannot_be_used_is_named(
    files: TlsFiles, name: str, problem: str, break_it: Callable[[TlsFiles], object]
) -> None:
    break_it(files)
    error = error_of(files)
    assert error.key == f"tls.{name}"
    assert error.value == str(getattr(files, name))
    assert problem in error.problem
    assert error.remedy


def test_key_of_another_certificate_is_named(files: TlsFiles, certificates: Certificates) -> None:
    shutil.copy(certificates.write("other").key_file, files.key_file)
    error = error_of(files)
    assert error.key == "tls.key_file"
    assert f"does not belong to the certificate in {files.cert_file}" in error.problem


@pytest.mark.parametrize("is_server", [True, False])
def test_certificate_that_has_expired_is_named(certificates: Certificates, *, is_server: bool) -> None:
    error = error_of(certificates.write("old", is_expired=True), is_server=is_server)
    assert error.key == "tls.cert_file"
    assert "has expired" in error.problem


@pytest.mark.parametrize("is_server", [True, False])
def test_certificate_for_the_other_side_is_named(tmp_path: Path, *, is_server: bool) -> None:
    authority = Authority(tmp_path)
    authority.make()
    cert_file, key_file = authority.issue("here", Part.CLIENT if is_server else Part.SERVER, days=100)
    files = TlsFiles(tmp_path / CA_FILE, cert_file, key_file, key="tls")
    assert "not for its part" in error_of(files, is_server=is_server).problem
    assert TlsIdentity(files, is_server=not is_server).context() is not None


def test_certificate_that_expires_soon_is_told(log: io.StringIO, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.make()
    for name, days in (("soon", 20), ("later", 100)):
        cert_file, key_file = authority.issue(name, Part.SERVER, days)
        TlsIdentity(TlsFiles(tmp_path / CA_FILE, cert_file, key_file, key="tls"), is_server=True)
    lines = {line for line in log.getvalue().splitlines() if "certificate_expires_soon" in line}
    assert len(lines) == 1
    assert "soon-cert.pem" in lines.pop()


def test_key_may_be_read_by_the_group_of_its_owner(files: TlsFiles) -> None:
    files.key_file.chmod(0o640)
    assert TlsIdentity(files, is_server=True).context() is not None


def test_files_that_stay_are_not_read_again(files: TlsFiles) -> None:
    identity = TlsIdentity(files, is_server=True)
    context = identity.context()
    assert identity.context() is context
    files.cert_file.touch()
    assert identity.context() is not context
