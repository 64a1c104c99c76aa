"""The extras of std-daq: what to install where a library is missing.

The bare package is the client. What services need, such as numba and h5py, is installed by an extra:
``pip install 'std-daq[images]'``. Which library belongs to which extra stands in the metadata of the package.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import requires

from std_daq.errors import MissingExtraError

# Modules that are not called as the distribution that brings them.
DISTRIBUTIONS = {
    "IPython": "ipython",
    "PIL": "pillow",
    "google": "protobuf",
    "grpc": "grpcio",
    "grpc_health": "grpcio-health-checking",
    "grpc_reflection": "grpcio-reflection",
    "rerun": "rerun-sdk",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# As in: h5py>=3.12; extra == "images"
_REQUIREMENT = re.compile(r"""^(?P<name>[\w.-]+)[^;]*;.*\bextra == ["'](?P<extra>[\w.-]+)["']""")


@contextmanager
def extras_explained() -> Iterator[None]:
    """Turn the failed import of an extra's library into an error that says what to install.

    Raises
    ------
    MissingExtraError
        Instead of the ModuleNotFoundError of a library that an extra brings.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        extra = extra_of(library)
        if extra is None:
            raise
        raise MissingExtraError(f"needs {library}: pip install 'std-daq[{extra}]'") from error


def extra_of(module: str) -> str | None:
    """Return the smallest extra that brings a module; None where no extra does."""
    distribution = _normalised(DISTRIBUTIONS.get(module, module))
    contents: dict[str, set[str]] = {}
    for requirement in requires("std-daq") or ():
        if found := _REQUIREMENT.match(requirement):
            contents.setdefault(found["extra"], set()).add(_normalised(found["name"]))
    bringing = [extra for extra, distributions in contents.items() if distribution in distributions]
    return min(bringing, key=lambda extra: (extra == "all", len(contents[extra])), default=None)


def _normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
