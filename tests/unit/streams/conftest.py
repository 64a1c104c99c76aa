"""What several tests of the streams use."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import pytest


@pytest.fixture
def no_descriptor_left() -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which this process can open nothing."""

    @contextmanager
    def take_all() -> Iterator[None]:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        try:
            with suppress(OSError):  # too many open files
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            yield
        finally:
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    return take_all
