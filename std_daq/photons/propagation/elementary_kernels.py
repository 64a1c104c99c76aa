"""Elementary functions, made of sums, products, quotients and square roots; compiled.

IEEE 754 fixes the last bit of these four, so they give the same on every processor and on every GPU. The functions of
mathematical libraries differ in their last bits: between libraries, between processors of one library, and between
processor and GPU. With these functions, hits are the same bytes on all of them. They are as accurate, within three
units of the last place, and as fast.

The series are those of Taylor, over intervals that are so short that few terms are left.
"""

import math

from std_daq.photons.propagation.inner_kernels import inner

_TURN = 2.0 * math.pi
_HALF_PI = 0.5 * math.pi
_ROOT_OF_HALF = math.sqrt(0.5)
_LOG2 = math.log(2.0)
_LOG2_HIGH = 0.693359375  # few bits: a product with an exponent is exact
_LOG2_LOW = -2.121944400546905827679e-4  # the rest of the logarithm of 2
_NOTHING = -700.0  # its exponential is less than 1e-304


@inner()
def cos_sin_of_turn(turns: float) -> tuple[float, float]:
    """Return cosine and sine of an angle, which is given in turns."""
    quarters = math.floor(4.0 * turns + 0.5)
    x = _TURN * (turns - 0.25 * quarters)
    y = x * x
    c = 1.0 / 479001600.0 + y * (-1.0 / 87178291200.0 + y * (1.0 / 20922789888000.0))
    c = -1.0 / 720.0 + y * (1.0 / 40320.0 + y * (-1.0 / 3628800.0 + y * c))
    cosine = 1.0 + y * (-0.5 + y * (1.0 / 24.0 + y * c))
    s = -1.0 / 39916800.0 + y * (1.0 / 6227020800.0 + y * (-1.0 / 1307674368000.0))
    s = 1.0 / 120.0 + y * (-1.0 / 5040.0 + y * (1.0 / 362880.0 + y * s))
    sine = x + x * y * (-1.0 / 6.0 + y * s)
    quarter = int(quarters) & 3
    if quarter & 1 != 0:
        cosine, sine = -sine, cosine
    return (cosine, sine) if quarter < 2 else (-cosine, -sine)


@inner()
def logarithm(x: float) -> float:
    """Return the natural logarithm of a positive number."""
    mantissa, exponent = math.frexp(x)
    if mantissa < _ROOT_OF_HALF:
        mantissa, exponent = 2.0 * mantissa, exponent - 1
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z = s * s
    series = 1.0 / 15.0 + z * (1.0 / 17.0 + z * (1.0 / 19.0 + z * (1.0 / 21.0)))
    series = 1.0 / 7.0 + z * (1.0 / 9.0 + z * (1.0 / 11.0 + z * (1.0 / 13.0 + z * series)))
    return exponent * _LOG2 + 2.0 * s * (1.0 + z * (1.0 / 3.0 + z * (1.0 / 5.0 + z * series)))


@inner()
def exponential(x: float) -> float:
    """Return the exponential of a number that is at most 700."""
    if x < _NOTHING:
        return 0.0
    doublings = math.floor(x / _LOG2 + 0.5)
    r = (x - doublings * _LOG2_HIGH) - doublings * _LOG2_LOW
    series = 1.0 / 3628800.0 + r * (1.0 / 39916800.0 + r * (1.0 / 479001600.0 + r * (1.0 / 6227020800.0)))
    series = 1.0 / 720.0 + r * (1.0 / 5040.0 + r * (1.0 / 40320.0 + r * (1.0 / 362880.0 + r * series)))
    series = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * series))
    return math.ldexp(1.0 + (r + r * r * (0.5 + r * series)), int(doublings))


@inner()
def arc_sine(x: float) -> float:
    """Return the arc sine of a number of -1 to 1."""
    size = abs(x)
    if size > 0.5:
        angle = _HALF_PI - 2.0 * _short_arc_sine(math.sqrt(0.5 * (1.0 - size)))
    else:
        angle = _short_arc_sine(size)
    return angle if x >= 0.0 else -angle


@inner()
def _short_arc_sine(x: float) -> float:
    """Return the arc sine of a number of 0 to 0.5, as twice that of the sine of half of the angle."""
    w = x / math.sqrt(2.0 + 2.0 * math.sqrt(1.0 - x * x))
    z = w * w
    series = 46189.0 / 5505024.0 + z * (88179.0 / 12058624.0 + z * (676039.0 / 104857600.0))
    series = 6435.0 / 557056.0 + z * (12155.0 / 1245184.0 + z * series)
    series = 63.0 / 2816.0 + z * (231.0 / 13312.0 + z * (143.0 / 10240.0 + z * series))
    series = 1.0 / 6.0 + z * (3.0 / 40.0 + z * (5.0 / 112.0 + z * (35.0 / 1152.0 + z * series)))
    return 2.0 * (w + w * z * series)


@inner()
def square_root(z: complex) -> complex:
    """Return the square root of a complex number of 1e-150 to 1e150; its real part is not negative."""
    length = math.sqrt(z.real * z.real + z.imag * z.imag)
    if length == 0.0:
        return z
    if z.real >= 0.0:
        real = math.sqrt(0.5 * (length + z.real))
        return complex(real, 0.5 * z.imag / real)
    size = math.sqrt(0.5 * (length - z.real))
    return complex(0.5 * abs(z.imag) / size, size if z.imag >= 0.0 else -size)


@inner()
def inverse(z: complex) -> complex:
    """Return 1 / z for a complex number of 1e-150 to 1e150."""
    square = z.real * z.real + z.imag * z.imag
    return complex(z.real / square, -z.imag / square)


@inner()
def phase(turns: complex) -> complex:
    """Return exp(2 pi i z) for a complex number whose imaginary part is not below -100."""
    size = exponential(-_TURN * turns.imag)
    cosine, sine = cos_sin_of_turn(turns.real)
    return complex(size * cosine, size * sine)
