"""FarmConfig: a farm of the photon simulation on one machine, as in ``farm.json``."""

import argparse
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from std_daq.config.platform import PlatformConfig

DEFAULT_FRONTEND = "tcp://127.0.0.1:5555"
DEFAULT_BACKEND = "tcp://127.0.0.1:6667"
DEFAULT_SYSTEM = "photons"
MAX_SEED = 2**63 - 1


class FarmConfig(PlatformConfig):
    """A router and its workers on one machine; workers of other machines may join."""

    geometry: Path = Field(description="The geometry file; a relative path is relative to the working directory.")
    frontend: str = Field(DEFAULT_FRONTEND, description="Address at which clients connect.")
    backend: str = Field(DEFAULT_BACKEND, description="Address at which workers connect.")
    n_workers: int = Field(1, ge=0, le=1024, description="Number of workers on this machine.")
    threads_per_worker: int | None = Field(
        None, ge=1, le=1024, description="Threads of each worker; by default the machine's cores are shared out."
    )
    seed: int = Field(0, ge=0, le=MAX_SEED, description="Selects the random numbers, together with each request.")
    engine: Literal["auto", "cpu", "cuda"] = Field("auto", description="What simulates.")
    n_gpus: int = Field(
        1,
        ge=1,
        le=1024,
        description="NVIDIA GPUs of this machine; its workers take them in turn, if the engine is cuda.",
    )
    max_queued: int = Field(
        10_000, ge=1, le=1_000_000, description="Requests that may wait; one more is answered NO_WORKERS."
    )
    keys: Path | None = Field(
        None,
        description="Encrypt: server.json of std-sim keys, for the router; a relative path as that of the geometry.",
    )
    worker_keys: Path | None = Field(
        None, description="With keys: the file of std-sim keys for the workers of this machine."
    )
    plain_frontend: bool = Field(
        False, description="With keys: clients connect without encryption, as those of others have to."
    )
    ping_reply: str = Field("ACK", min_length=1, description="The answer to PING: ACK, or PONG for older clients.")

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        if (self.keys is None) != (self.worker_keys is None) and self.n_workers:
            raise ValueError("keys and worker_keys go together: the router encrypts, or it does not")
        return self


def config_of_command_line(arguments: argparse.Namespace) -> FarmConfig:
    """Return the configuration of a service that was started without a file."""
    return FarmConfig(name=arguments.system, geometry=Path())
