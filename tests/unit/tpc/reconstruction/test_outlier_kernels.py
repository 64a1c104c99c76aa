import numpy as np
import pytest
from scipy.spatial.distance import cdist

from std_daq.tpc.reconstruction import outlier_kernels
from std_daq.tpc.reconstruction.outlier_kernels import N_SCRATCH_ROWS, fill_outlier_factors


def _spread(n):
    points = np.random.default_rng(n).normal(0, 10, (n, 3))
    points[-1] *= 30
    return points


def _on_a_grid(n):
    return np.random.default_rng(n).integers(0, 4, (n, 3)) * 5.0


def _at_one_place(n):
    return np.ones((n, 3))


def _two_heaps(n):
    points = np.random.default_rng(n).normal(0, 1e-3, (n, 3))
    points[n // 2 :] += 1e6
    return points


POINTS = [_spread, _on_a_grid, _at_one_place, _two_heaps]


def _factors(fill, points, n_neighbors):
    factors = np.empty(len(points))
    fill(np.ascontiguousarray(points.T), n_neighbors, factors, np.empty((N_SCRATCH_ROWS, len(points))))
    return factors


def _plain_factors(points, n_neighbors):
    """With the table of all distances."""
    distances = cdist(points, points)
    np.fill_diagonal(distances, -1.0)
    farthest = np.sort(distances, axis=1)[:, n_neighbors]
    is_near = distances <= farthest[:, np.newaxis]
    np.fill_diagonal(is_near, False)
    n_near = is_near.sum(axis=1)
    reach = np.maximum(distances, farthest)
    density = 1.0 / (np.where(is_near, reach, 0.0).sum(axis=1) / n_near + 1e-10)
    return np.where(is_near, density, 0.0).sum(axis=1) / n_near / density


@pytest.mark.parametrize("make", POINTS)
@pytest.mark.parametrize("n", [2, 3, 9, 40, 400])
def test_factors_are_those_from_the_table_of_all_distances(make, n):
    points = make(n)
    for n_neighbors in {1, min(2, n - 1), n // 2, n - 1}:
        found = _factors(fill_outlier_factors, points, n_neighbors)
        np.testing.assert_allclose(found, _plain_factors(points, n_neighbors), rtol=1e-12)


@pytest.mark.parametrize("make", POINTS)
def test_the_kernel_does_the_same_as_plain_python(make):
    points = make(21)
    np.testing.assert_array_equal(
        _factors(fill_outlier_factors, points, 10), _factors(fill_outlier_factors.py_func, points, 10)
    )


@pytest.mark.parametrize("guess", [-3.0, 0.0, 1e-9, 0.5, 0.9, 1e9, np.inf])
@pytest.mark.parametrize("of_rank", [outlier_kernels._of_rank, outlier_kernels._of_rank.py_func])
def test_any_guess_gives_the_number_with_the_rank(guess, of_rank):
    random = np.random.default_rng(4)
    for numbers in (random.random(300), random.integers(0, 3, 300).astype(float), random.random(300) ** 40):
        for rank in (0, 1, 150, 298, 299):
            assert of_rank(numbers, rank, guess, np.empty(300)) == np.sort(numbers)[rank]


def test_what_is_not_a_number_has_the_last_ranks():
    numbers = np.where(np.arange(100) < 40, 1.0, np.nan)
    assert outlier_kernels._of_rank(numbers, 39, 0.5, np.empty(100)) == 1.0
    assert outlier_kernels._of_rank(numbers, 40, 0.5, np.empty(100)) == np.inf
