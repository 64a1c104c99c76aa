"""The compiler takes the kernel for real GPUs, and makes nothing of it that a processor would not compute.

The simulator runs plain Python, which the compiler may refuse. So the kernel is compiled here without a GPU.
"""

import re
from collections import Counter

import pytest

pytest.importorskip("numba_cuda", reason="needs numba-cuda: pip install 'std-daq[cuda]'")

from numba.cuda.cudadrv import nvvm

from std_daq.photons.detector import PhotonDetector
from std_daq.photons.tanks import small_tank
from std_test_kit.device_code import compiled_for

pytestmark = pytest.mark.skipif(not nvvm.is_available(), reason="no compiler for GPUs: pip install 'std-daq[cuda]'")

# What IEEE 754 rounds to the nearest, and what does not round.
ROUNDED = {"add.rn", "sub.rn", "mul.rn", "div.rn", "rcp.rn", "sqrt.rn"}
EXACT = {"abs", "neg", "min", "max", "mov", "ld", "st", "setp", "selp"}
CONVERSIONS = r"cvt\.(rn\.f32\.f64|f64\.f32|rn\.f64\.[su]\d+|r[zmp]i\.[\w.]+|sat\.f64\.f64)"
OPERATION = re.compile(r"^\s*(?:@!?%\w+\s+)?([a-z]\w*(?:\.\w+)*\.f(?:32|64)(?:\.f(?:32|64))?)\s", re.MULTILINE)


@pytest.fixture(scope="module")
def scene():
    return PhotonDetector.of(small_tank()).scene


@pytest.mark.parametrize(
    "capability",
    [
        pytest.param((7, 0), marks=pytest.mark.long),  # V100
        pytest.param((8, 0), marks=pytest.mark.long),  # A100
        (9, 0),  # H100
        pytest.param((12, 0), marks=pytest.mark.long),  # RTX 50
    ],
)
def test_the_kernel_is_compiled_for_a_gpu_into_operations_that_round_as_those_of_a_processor(scene, capability):
    code = compiled_for(capability, scene)
    assert code.cubin[:4] == b"\x7fELF"
    assert f".target sm_{capability[0]}{capability[1]}" in code.ptx
    operations = Counter(OPERATION.findall(code.ptx))
    assert operations["mul.rn.f64"] > 500
    kinds = {operation for operation in operations if not re.fullmatch(CONVERSIONS, operation)}
    left = {kind for kind in kinds if kind.rpartition(".")[0] not in ROUNDED and kind.split(".")[0] not in EXACT}
    assert left == set()
    # No function of a library, and no memory of photons that the compiler did not know how to keep.
    assert "call" not in re.findall(r"^\s*(\w+)", code.ptx, re.MULTILINE)
