"""Matrices of attack and defence, and the two Θ metrics."""

from ued_core.theory.consistency import Theta, expected, limit, theta, theta_of_fields
from ued_core.theory.matrices import LocalMatrix, coin_matrix, convolution_matrix
from ued_core.theory.one_dimensional import random_matrix, tridiagonal

__all__ = [
    "LocalMatrix",
    "Theta",
    "coin_matrix",
    "convolution_matrix",
    "expected",
    "limit",
    "random_matrix",
    "theta",
    "theta_of_fields",
    "tridiagonal",
]
