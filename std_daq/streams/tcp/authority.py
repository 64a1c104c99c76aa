"""Authority: a small certificate authority in a folder, and its certificates; it runs the ``openssl`` command.

::

    ca.pem   ca-key.pem             the authority; its key stays where the certificates are made
    near-cert.pem   near-key.pem    for each name, here near
"""

import ipaddress
import os
import secrets
import subprocess
import tempfile
from enum import Enum
from pathlib import Path

from std_daq.errors import ConfigError, ResourceError

CA_FILE, CA_KEY_FILE = "ca.pem", "ca-key.pem"
_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_AUTHORITY_DAYS = 3650
_MINIMAL = "[req]\ndistinguished_name = name\n[name]\n"
_KEY_MODE, _CERTIFICATE_MODE = 0o600, 0o644


class Part(Enum):
    """Purpose of a certificate; the values are names of OpenSSL."""

    SERVER = "serverAuth"
    CLIENT = "clientAuth"


class Authority:
    """Issues certificates.

    Parameters
    ----------
    folder
        Folder of the files. `make` creates the authority if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self, name: str) -> tuple[Path, Path]:
        """Return the paths of the certificate and the key of a name."""
        stem = name.replace(":", "_")
        return self._folder / f"{stem}-cert.pem", self._folder / f"{stem}-key.pem"

    def check(self, names: list[str]) -> None:
        """Check whether certificates for some names can be made.

        Raises
        ------
        ConfigError
            A name is not valid, a file of a name already exists, or only one of the two files of the authority exists.
        """
        for name in names:
            if not name or not set(name) <= _NAME_CHARACTERS or name[0] in "-." or name == "ca":
                raise ConfigError("this is not a host name or an IP address", value=name)
            if names.count(name) > 1:
                raise ConfigError("this name is given twice", value=name)
            for file in self.files(name):
                if file.exists():
                    raise ConfigError("this file already exists", file=file, remedy="move it away to make a new one")
        ca_file, key_file = self._folder / CA_FILE, self._folder / CA_KEY_FILE
        if ca_file.exists() != key_file.exists():
            there, missing = (ca_file, key_file) if ca_file.exists() else (key_file, ca_file)
            raise ConfigError(f"exists without {missing.name}", file=there, remedy="give another folder")

    def make(self) -> None:
        """Create the authority if it does not exist."""
        ca_file, key_file = self._folder / CA_FILE, self._folder / CA_KEY_FILE
        if ca_file.exists():
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        extensions = "[authority]\nbasicConstraints = critical, CA:true, pathlen:0\nkeyUsage = critical, keyCertSign\n"
        extensions += "subjectKeyIdentifier = hash\n"
        with tempfile.TemporaryDirectory(dir=self._folder) as work:
            config = _write(Path(work) / "config", _MINIMAL + extensions)
            made = _Made(Path(work))
            command = ["req", "-x509", *_CURVE, "-config", str(config), "-extensions", "authority"]
            command += ["-subj", "/CN=std-daq authority", "-days", str(_AUTHORITY_DAYS), "-set_serial", _serial()]
            _openssl(*command, "-keyout", str(made.key), "-out", str(made.certificate))
            made.put(ca_file, key_file)

    def issue(self, name: str, part: Part, days: int) -> tuple[Path, Path]:
        """Make a certificate and its key; returns their paths."""
        extensions = (
            f"basicConstraints = critical, CA:false\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = "
            f"{part.value}\nsubjectAltName = {_alternative(name)}\n"
            "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"
        )
        cert_file, key_file = self.files(name)
        with tempfile.TemporaryDirectory(dir=self._folder) as work:
            config = _write(Path(work) / "config", _MINIMAL)
            request, added = Path(work) / "request", _write(Path(work) / "extensions", extensions)
            made = _Made(Path(work))
            subject = ("-subj", f"/CN={name}")
            _openssl(
                "req", "-new", *_CURVE, "-config", str(config), *subject, "-keyout", str(made.key), "-out", str(request)
            )
            authority = ("-CA", str(self._folder / CA_FILE), "-CAkey", str(self._folder / CA_KEY_FILE))
            command = ["x509", "-req", "-in", str(request), *authority, "-set_serial", _serial(), "-days", str(days)]
            _openssl(*command, "-extfile", str(added), "-out", str(made.certificate))
            made.put(cert_file, key_file)
        return cert_file, key_file


_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:")


class _Made:
    """A certificate and its key in a work folder; `put` links the finished files into the folder of the authority."""

    def __init__(self, work: Path) -> None:
        self.certificate, self.key = work / "certificate", work / "key"

    def put(self, cert_file: Path, key_file: Path) -> None:
        self.key.chmod(_KEY_MODE)
        self.certificate.chmod(_CERTIFICATE_MODE)
        for made, file in ((self.key, key_file), (self.certificate, cert_file)):
            os.link(made, file)  # a link fails if the file exists; a rename would replace it


def _write(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def _serial() -> str:
    return str(secrets.randbits(127) + 1)


def _alternative(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


def _openssl(*arguments: str) -> None:
    command = ["openssl", *arguments]
    try:
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, umask=0o077)
    except FileNotFoundError:
        raise ResourceError("the command openssl is missing: install it (apt install openssl)") from None
    except subprocess.CalledProcessError as error:
        raise ResourceError(f"openssl {arguments[0]} failed: {error.stderr.strip()}") from None
