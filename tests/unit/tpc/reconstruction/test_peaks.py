import numpy as np
import pytest
from scipy import signal

from std_daq.tpc.reconstruction import peak_kernels
from std_daq.tpc.reconstruction.parameters import GetParameters
from std_daq.tpc.reconstruction.peaks import event_generator, peaks_of, remove_baselines

N = 512


def _traces(n, seed=0, amplitudes=(10, 30, 100, 1000, 6000)):
    """Return traces with noise and pulses, some of them saturated, some with flat tops."""
    random = np.random.default_rng(seed)
    samples = random.uniform(250, 450, (n, 1)) + random.normal(0, 3.5, (n, N))
    for row in samples:
        for _ in range(random.integers(0, 6)):
            s = np.clip((np.arange(N) - random.uniform(30, 480)) / 6.25, 0, np.pi)
            row += random.choice(amplitudes) * np.exp(-3 * s) * s**3 * np.sin(s) / 0.044
    return np.clip(samples, 0, 4095).astype(np.int16)


def _plain_baselines(traces, scale):
    """The same by complex transforms and numpy's own mean and deviation."""
    samples = traces.astype(float)
    samples[:, 0], samples[:, -1] = samples[:, 1], samples[:, -2]
    base = samples.copy()
    is_high = samples - samples.mean(axis=1, keepdims=True) > 1.5 * samples.std(axis=1, keepdims=True)
    for row, high in zip(base, is_high, strict=True):
        row[high] = int(row[~high].mean())
    window = np.fft.ifftshift(np.sinc(np.arange(-N // 2, N // 2) / scale))
    return (samples - np.fft.ifft(np.fft.fft(base, axis=1) * window, axis=1).real).astype(np.int32)


@pytest.mark.parametrize("scale", [20.0, 5.5])
def test_baselines_are_those_of_complex_transforms_to_the_bit(scale):
    traces = _traces(100)
    np.testing.assert_array_equal(remove_baselines(traces, scale), _plain_baselines(traces, scale))


def test_a_constant_trace_has_no_samples_above_its_baseline():
    traces = np.full((3, N), 300, np.int16)
    traces[1], traces[2] = 0, 4095
    assert not remove_baselines(traces, 20.0).any()


@pytest.mark.parametrize(
    "parameters",
    [
        GetParameters(),
        GetParameters(peak_separation=5.5, peak_prominence=8.0, peak_max_width=30.0, peak_threshold=5.0),
        GetParameters(peak_separation=1, peak_prominence=0.0, peak_max_width=500.0, peak_threshold=-5.0),
    ],
)
def test_peaks_are_those_of_scipy(parameters):
    traces = _traces(150, seed=1)
    found = peaks_of(traces, parameters, event_generator(3, 4))
    random = event_generator(3, 4)
    wanted = []
    for row, trace in enumerate(remove_baselines(traces, parameters.baseline_window_scale)):
        places, about = signal.find_peaks(
            trace,
            distance=parameters.peak_separation,
            prominence=parameters.peak_prominence,
            width=(1, parameters.peak_max_width),
            rel_height=0.95,
        )
        for i, place in enumerate(places):
            centroid = place + random.random()
            edges = slice(int(np.floor(about["left_ips"][i])), int(np.ceil(about["right_ips"][i])))
            if trace[place] > parameters.peak_threshold:
                wanted.append((row, centroid, trace[place], np.abs(trace[edges]).sum()))
    assert len(wanted) > 100
    np.testing.assert_array_equal(
        np.column_stack([found.rows, found.centroids, found.amplitudes, found.integrals]), wanted
    )


def _kernel_results(find_peaks, traces):
    counts, places = np.full(len(traces), -9, np.int32), np.zeros((len(traces), peak_kernels.MAX_PEAKS), np.int32)
    integrals, scratch = np.zeros(places.shape), np.zeros((3, N), np.int32)
    find_peaks(traces, 50.0, 20.0, 100.0, counts, places, integrals, scratch)
    return counts, places, integrals


@pytest.mark.long
def test_the_kernels_do_the_same_as_plain_python():
    traces = _traces(3, seed=5)
    compiled = _kernel_results(peak_kernels.find_peaks, remove_baselines(traces, 20.0))
    plain = _kernel_results(peak_kernels.find_peaks.py_func, remove_baselines(traces, 20.0))
    for one, other in zip(compiled, plain, strict=True):
        np.testing.assert_array_equal(one, other)
    samples, base, out = np.empty((3, N)), np.empty((3, N)), np.empty((3, N), np.int32)
    peak_kernels.split_baselines.py_func(traces, samples, base)
    compiled_samples, compiled_base = np.empty((2, 3, N))
    peak_kernels.split_baselines(traces, compiled_samples, compiled_base)
    np.testing.assert_array_equal(samples, compiled_samples)
    np.testing.assert_array_equal(base, compiled_base)
    peak_kernels.subtract_baselines.py_func(samples, base + 0.25, out)
    np.testing.assert_array_equal(out, np.trunc(samples - base - 0.25))


def test_two_equally_high_maxima_within_the_distance_are_left_to_scipy():
    trace = np.zeros((1, N), np.int32)
    trace[0, 95:106] = (20, 60, 100, 200, 300, 200, 300, 200, 100, 60, 20)
    counts, _, _ = _kernel_results(peak_kernels.find_peaks, trace)
    assert counts[0] == peak_kernels.UNDECIDED
    trace[0, 103] = 301  # a higher one removes both
    counts, places, _ = _kernel_results(peak_kernels.find_peaks, trace)
    assert counts[0] == 1
    assert places[0, 0] == 103


def test_an_event_without_traces_has_no_peaks():
    assert len(peaks_of(np.empty((0, N), np.int16), GetParameters(), event_generator(0, 0))) == 0


def test_random_numbers_follow_from_seed_and_event_id():
    plain = np.random.Generator(np.random.PCG64(np.random.SeedSequence([7, 12])))
    np.testing.assert_array_equal(event_generator(7, 12).random(5), plain.random(5))
