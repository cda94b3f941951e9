# SPDX-License-Identifier: MIT
"""Branches that come to one activation: PReLU and leaky ReLU as they are written of other operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Const = NDArray[Any]


class Slopes(NamedTuple):
    """What a tensor is of the one at which the branches begin, x: above * x where x >= 0, else below * x."""

    above: Const
    below: Const


WHOLE = Slopes(np.asarray(1.0), np.asarray(1.0))


def _each(x: Slopes, function: Callable[[Const], Any]) -> Slopes:
    return Slopes(np.asarray(function(x.above)), np.asarray(function(x.below)))


def _of_two(a: Any, b: Any, above: Callable[..., Any], below: Callable[..., Any]) -> Slopes | None:
    if not (isinstance(a, Slopes) and isinstance(b, Slopes)):
        return None
    return Slopes(np.asarray(above(a.above, b.above)), np.asarray(below(a.below, b.below)))


def _where_negative(x: Slopes, factor: Any) -> Slopes:
    """x * factor where x is negative: with a slope above 0 that is below, with one below 0 it is above."""
    return Slopes(np.where(x.above < 0, x.above * factor, x.above), np.where(x.below > 0, x.below * factor, x.below))


def slopes_after(kind: str, operands: list[Any], alpha: float) -> Slopes | None:
    """What an operator makes of operands, each Slopes or a constant; None where that is no such function. `alpha` is
    its attribute."""
    x = operands[0]
    other = operands[1] if len(operands) > 1 else None
    if kind == "Identity" and isinstance(x, Slopes):
        return x
    if kind == "Neg" and isinstance(x, Slopes):
        return _each(x, np.negative)
    if kind == "Abs" and isinstance(x, Slopes):
        return Slopes(np.abs(x.above), -np.abs(x.below))
    if kind == "Relu" and isinstance(x, Slopes):
        return Slopes(np.maximum(x.above, 0), np.minimum(x.below, 0))
    if kind == "LeakyRelu" and isinstance(x, Slopes):
        return _where_negative(x, alpha)
    if kind == "PRelu" and isinstance(x, Slopes) and not isinstance(other, Slopes):
        return _where_negative(x, other)
    if kind == "Mul" and not isinstance(x, Slopes):
        x, other = other, x
    if kind in ("Mul", "Div") and isinstance(x, Slopes) and isinstance(other, np.ndarray):
        operator, factor = np.multiply if kind == "Mul" else np.divide, other
        return _each(x, lambda slope: operator(slope, factor))
    if kind == "Add":
        return _of_two(x, other, np.add, np.add)
    if kind == "Sub":
        return _of_two(x, other, np.subtract, np.subtract)
    zero = Slopes(np.asarray(0.0), np.asarray(0.0))
    x, other = (zero if isinstance(v, np.ndarray) and not v.any() else v for v in (x, other))
    if kind == "Max":
        return _of_two(x, other, np.maximum, np.minimum)
    if kind == "Min":
        return _of_two(x, other, np.minimum, np.maximum)
    return None
