"""Quantiles of the Beta distribution, for shares of which few examples were seen. Pure.

The regularised incomplete beta function by its continued fraction (Numerical Recipes §6.4, Lentz's
method), inverted by bisection: it grows with x.
"""

from math import exp, lgamma, log, log1p
from typing import Final

TINY: Final = 1e-300
TERMS: Final = 300
"""Enough for parameters far beyond what a history of attempts gives."""
HALVINGS: Final = 50


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x below which `share` of Beta(a, b) lies; `share` in (0, 1), a and b positive."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if beta_share(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """The share of Beta(a, b) below `x`."""
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    # The fraction converges fast below the mean; above it the other tail is summed.
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_share(1.0 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1.0 / _off_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = value
        for term in (even, odd):
            d = 1.0 / _off_zero(1.0 + term * d)
            c = _off_zero(1.0 + term / c)
            value *= d * c
        if abs(value - before) < 1e-12 * value:
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > TINY else TINY
