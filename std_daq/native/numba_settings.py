"""What std-daq sets of numba's configuration, and keeps set.

Numba reads its variables again when it compiles something, if one of them has changed in the environment of this
process. Then it forgets what was set in another way. Example: a program sets ``NUMBA_NUM_THREADS`` after it has
imported std-daq; the next function that it compiles takes the cache folder away, and the level of the processor.
"""

import threading
from typing import Any

import numba

numba_config: Any = numba.config  # numba sets its attributes at import, so type checkers do not know them

kept: dict[str, str] = {}
"""Names of settings, without the ``NUMBA_`` of their variables, and their values."""
_lock = threading.Lock()


def keep(**settings: str) -> None:
    """Set settings of numba, now and whenever `restore` is called."""
    with _lock:
        kept.update(settings)
    restore()


def restore() -> None:
    """Set again what `keep` was told; numba has then seen the environment, and does not change anything by itself."""
    with _lock:
        numba_config.reload_config()
        for name, value in kept.items():
            setattr(numba_config, name, value)
