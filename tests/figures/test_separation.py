"""Figures of D-VAE: they hold the numbers they were given, and pass Plotly's checks."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from ued_core.figures.separation import RatePoint, amplified, rate_distortion, stage_curves

POINTS = [
    RatePoint(3.0, 2.9, 1.05, 24.0, 23.5, 0.3),
    RatePoint(0.5, 0.52, 0.19, 17.0, 17.5, 0.01),
    RatePoint(1.0, 1.01, 0.36, 20.0, 20.5, 0.1),
]


def test_amplified_by_hand() -> None:
    values = torch.tensor([0.0, 10 / 255, -10 / 255, 1.0, -1.0]).view(1, 1, 1, 5)
    assert amplified(values, 4).tolist() == [[[[128, 168, 88, 255, 0]]]]
    assert amplified(values.numpy(), 1).dtype == np.uint8


def test_rate_distortion() -> None:
    figure = rate_distortion(POINTS, 1.0)
    go.Figure(figure.to_dict())
    clean, clean_now, given, given_now, passing, passing_now = figure.data
    assert list(clean.x) == [0.52, 1.01, 2.9], "rates rise"
    assert list(clean.y) == [17.5, 20.5, 23.5]
    assert list(given.y) == [17.0, 20.0, 24.0]
    assert list(passing.y) == pytest.approx([1, 10, 30])
    assert [p[0] for p in clean.customdata] == [0.5, 1.0, 3.0]
    for now, value in ((clean_now, 20.5), (given_now, 20.0), (passing_now, 10)):
        assert (list(now.x), list(now.y)) == ([1.01], pytest.approx([value]))
    assert figure.layout.xaxis.type == "log"
    assert [shape["x0"] for shape in figure.to_dict()["layout"]["shapes"]] == [1.01]


def test_stage_curves() -> None:
    trace = [{"epoch": e, "rate": 10.0 / e, "psnr": 10.0 + e} for e in (1, 2, 3)]
    figure = stage_curves(
        [{"stage": 1, "target": 1.0, "trace": trace}, {"stage": 2, "target": 3.0, "trace": trace[:1]}]
    )
    go.Figure(figure.to_dict())
    assert [t.name for t in figure.data] == [
        "stage 1",
        "stage 1",
        "target of stage 1",
        "stage 2",
        "stage 2",
        "target of stage 2",
    ]
    assert list(figure.data[0].y) == [11, 12, 13]
    assert list(figure.data[1].y) == pytest.approx([10, 5, 10 / 3])
    assert list(figure.data[2].y) == [1, 1]
    assert list(figure.data[2].x) == [1, 3]
    assert list(figure.data[5].y) == [3, 3]
    assert [t.showlegend for t in figure.data] == [True, False, False] * 2


def test_nothing_yet() -> None:
    go.Figure(stage_curves([]).to_dict())
    go.Figure(stage_curves([{"stage": 1, "target": 1.0, "trace": []}]).to_dict())
