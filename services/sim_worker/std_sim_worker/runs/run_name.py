"""The name of a run: what a client gives as a file name, made safe."""

import re

_ENDINGS = (".root", ".ntuple")
_MAX_BYTES = 180
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
DEFAULT = "output"


def run_name(given: bytes) -> str:
    """Return the name of a run without folders and endings; ``output`` where nothing readable is left.

    Examples: ``/data/a.ntuple.root`` gives ``a``, ``../../b`` gives ``b``.
    """
    try:
        name = given.decode()
    except UnicodeDecodeError:
        return DEFAULT
    name = _UNSAFE.sub("_", name.replace("\\", "/").rstrip("/").rpartition("/")[2])
    while name.endswith(_ENDINGS):
        name = name.rpartition(".")[0]
    name = name.encode()[:_MAX_BYTES].decode(errors="ignore").strip()
    return name if name.strip(".") else DEFAULT
