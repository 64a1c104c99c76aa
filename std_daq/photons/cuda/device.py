"""Whether a GPU can be used, and which: everything that a user can mend is told before the engine starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from std_daq.errors import ArgumentError, DeviceError
from std_daq.extras import extras_explained

MIN_DRIVER = 525


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a GPU cannot be used.

    Parameters
    ----------
    argument, value
        The argument of the command line that asks for it.
    problem
        What is missing.
    remedy
        What to do.
    """

    argument: str
    value: object
    problem: str
    remedy: str


def obstacle_to(number: int) -> Obstacle | None:
    """Return why an NVIDIA GPU cannot be used, or None.

    Parameters
    ----------
    number
        Which GPU, from 0, as in the list of ``nvidia-smi -L``; CUDA_VISIBLE_DEVICES makes the list shorter.

    Raises
    ------
    MissingExtraError
        The package numba-cuda is not installed.
    """
    try:
        with extras_explained():
            import numba_cuda  # noqa: F401 - the target of numba that is maintained, in place of that of numba itself
            from numba import cuda
    except ImportError as error:
        return Obstacle("--backend", "cuda", f"numba-cuda cannot be imported: {error}", "pip install 'std-daq[cuda]'")
    is_available = cuda.is_available()
    if why := cuda.cuda_error():
        return Obstacle(
            "--backend", "cuda", f"CUDA does not start: {str(why).strip().splitlines()[0].rstrip('.')}",
            f"install an NVIDIA driver, {MIN_DRIVER} or later, until `nvidia-smi` lists a GPU; give a container its "
            "GPU; or take --backend cpu",
        )  # fmt: skip
    n_devices = len(cuda.gpus)
    if number >= n_devices:
        known = f"the last GPU that CUDA shows is {n_devices - 1}" if n_devices else "CUDA shows no GPU"
        return Obstacle(
            "--device", number, known,
            "`nvidia-smi -L` lists those of the machine; CUDA_VISIBLE_DEVICES may hide some",
        )  # fmt: skip
    if not is_available:
        return Obstacle("--backend", "cuda", "there is no compiler for GPUs (libNVVM)", "pip install 'std-daq[cuda]'")
    return None


def check_device(number: int) -> None:
    """Do nothing where an NVIDIA GPU can be used.

    Raises
    ------
    MissingExtraError
        The package numba-cuda is not installed.
    ArgumentError
        There is no driver, no compiler for GPUs, or no GPU of this number.
    """
    obstacle = obstacle_to(number)
    if obstacle is not None:
        raise ArgumentError(obstacle.argument, obstacle.problem, value=obstacle.value, remedy=obstacle.remedy)


@contextmanager
def device_errors(number: int, doing: str) -> Iterator[None]:
    """Turn what the driver raises into an error that says which GPU failed, and what to do.

    Raises
    ------
    DeviceError
        Instead of any other error.
    """
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:  # driver, bindings and compiler have classes of their own
        raise DeviceError(
            f"GPU {number} cannot {doing}: {type(error).__name__}: {_in_one_line(error)}; "
            "`nvidia-smi` shows its state, its driver and who uses its memory"
        ) from error


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(":")
