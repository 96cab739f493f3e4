"""The histogram of changes: counted as by hand, valid, and closed at its ends."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest

from ued_core.errors import DataError
from ued_core.figures.poison_files import MOST_LEVELS, change_histogram


def test_counts() -> None:
    figure = change_histogram(np.array([[-2, 0], [0, 1]]), np.array([[0, 0], [0, 1]]))
    go.Figure(figure.to_dict())
    assert list(figure.data[0].x) == [-2, -1, 0, 1, 2]
    assert list(figure.data[0].y) == [25, 0, 50, 25, 0]
    assert list(figure.data[1].y) == [0, 0, 75, 25, 0]
    assert "1/255" in figure.layout.xaxis.title.text


def test_large_changes_are_counted_at_the_ends() -> None:
    figure = change_histogram(np.array([-255, 255, 0, 0]), np.array([0, 0, 0, 0]))
    assert len(figure.data[0].x) == 2 * MOST_LEVELS + 1
    assert (figure.data[0].y[0], figure.data[0].y[-1]) == (25, 25)


def test_two_shapes_are_refused() -> None:
    with pytest.raises(DataError):
        change_histogram(np.zeros(3, int), np.zeros(4, int))
    with pytest.raises(DataError):
        change_histogram(np.zeros(0, int), np.zeros(0, int))
