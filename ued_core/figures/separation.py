"""What D-VAE separates: amplified perturbations, what a rate target costs and lets through, and how a stage learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch

from ued_core.figures.compose import compose
from ued_core.figures.theme import INK, ROLE_COLOURS, ROLE_SYMBOLS, axis_title, base_layout, faded


def amplified(values: np.ndarray | torch.Tensor, gain: float) -> np.ndarray:
    """A perturbation made visible: ``127.5 + gain · 255 · values``, clipped; grey means none.

    Args:
        values: float (N, C, H, W), in units of 1.
        gain: factor, > 0.

    Returns:
        uint8, same shape.
    """
    held = np.asarray(values, dtype=np.float32)
    return np.clip(np.rint(127.5 + 255 * gain * held), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class RatePoint:
    """One trained network.

    Attributes:
        target: its rate target, in nats per latent position.
        nats, bits: the rate that it keeps, per latent position and per pixel.
        psnr_input, psnr_clean: of x̂ against the images it was given and against the clean ones, in dB.
        surviving: share of the perturbation that passes.
    """

    target: float
    nats: float
    bits: float
    psnr_input: float
    psnr_clean: float
    surviving: float


def rate_distortion(points: Sequence[RatePoint], target: float) -> go.Figure:
    """PSNR of x̂, and below it the share of the perturbation that passes, against the rate; one target is marked.

    Args:
        points: any number, in any order.
        target: the target of the point that is marked.
    """
    points = sorted(points, key=lambda p: p.nats)
    rates = np.array([p.nats for p in points])
    kinds = (
        ("y", "to the clean image", "clean", [p.psnr_clean for p in points], "%{y:.1f} dB to the clean image"),
        ("y", "to the poisoned image", "poisoned", [p.psnr_input for p in points], "%{y:.1f} dB to the poisoned image"),
        (
            "y2",
            "share that passes",
            "neutral",
            [100 * p.surviving for p in points],
            "%{y:.1f} % of the perturbation passes",
        ),
    )
    traces: list[dict[str, Any]] = []
    for axis, name, role, values, words in kinds:
        traces.append(
            {
                "type": "scatter",
                "x": rates,
                "y": np.array(values),
                "yaxis": axis,
                "mode": "lines+markers",
                "name": name,
                "line": {"color": ROLE_COLOURS[role], "width": 2},
                "marker": {"symbol": ROLE_SYMBOLS[role], "size": 8},
                "customdata": [[p.target, p.bits] for p in points],
                "showlegend": axis == "y",
                "hovertemplate": f"target %{{customdata[0]:g}}: %{{x:.2f}} nats, %{{customdata[1]:.2f}} "
                f"bits/px<br>{words}<extra></extra>",
            }
        )
        now = [(p.nats, v) for p, v in zip(points, values, strict=True) if p.target == target]
        traces.append(
            {
                "type": "scatter",
                "x": np.array([x for x, _ in now]),
                "y": np.array([y for _, y in now]),
                "yaxis": axis,
                "mode": "markers",
                "name": "the one chosen",
                "showlegend": False,
                "hoverinfo": "skip",
                "marker": {
                    "color": ROLE_COLOURS[role],
                    "size": 15,
                    "symbol": ROLE_SYMBOLS[role],
                    "line": {"color": INK, "width": 2},
                },
            }
        )
    marks = [p.nats for p in points if p.target == target]
    line = {"color": faded(ROLE_COLOURS["neutral"], 0.7), "width": 1.5, "dash": "dot"}
    return compose(
        traces,
        base_layout(
            xaxis={
                "title": {"text": axis_title("rate", "nats per latent position")},
                "type": "log",
                "anchor": "y2",
                "tickvals": [p.target for p in points],
                "ticktext": [f"{p.target:g}" for p in points],
            },
            yaxis={"title": {"text": axis_title("PSNR of x̂", "dB")}, "domain": [0.47, 1.0]},
            yaxis2={
                "title": {"text": axis_title("perturbation passing", "%")},
                "domain": [0.0, 0.39],
                "rangemode": "tozero",
            },
            shapes=[{"type": "line", "x0": x, "x1": x, "yref": "paper", "y0": 0, "y1": 1, "line": line} for x in marks],
        ),
    )


def stage_curves(stages: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Rate and PSNR of every epoch, stage after stage.

    Args:
        stages: objects with ``stage``, ``target`` and ``trace`` (rows with ``epoch``, ``rate`` and ``psnr``), as the
            log of a purification has them.
    """
    traces: list[dict[str, Any]] = []
    for log, role in zip(stages, ("poisoned", "defended"), strict=False):
        epochs = np.array([row["epoch"] for row in log["trace"]])
        style = {"color": ROLE_COLOURS[role], "width": 2}
        for axis, column, words in (("y", "psnr", "%{y:.1f} dB"), ("y2", "rate", "%{y:.2f} nats")):
            traces.append(
                {
                    "type": "scatter",
                    "x": epochs,
                    "y": np.array([row[column] for row in log["trace"]]),
                    "yaxis": axis,
                    "mode": "lines+markers",
                    "name": f"stage {log['stage']}",
                    "legendgroup": str(log["stage"]),
                    "showlegend": axis == "y",
                    "line": style,
                    "marker": {"symbol": ROLE_SYMBOLS[role], "size": 6},
                    "hovertemplate": f"stage {log['stage']}, epoch %{{x}}<br>{words}<extra></extra>",
                }
            )
        if len(epochs):
            flat = {"color": ROLE_COLOURS[role], "width": 1.5, "dash": "dot"}
            traces.append(
                {
                    "type": "scatter",
                    "x": epochs[[0, -1]],
                    "y": np.full(2, float(log["target"])),
                    "yaxis": "y2",
                    "mode": "lines",
                    "name": f"target of stage {log['stage']}",
                    "showlegend": False,
                    "line": flat,
                    "hoverinfo": "skip",
                }
            )
    return compose(
        traces,
        base_layout(
            xaxis={"title": {"text": "epoch"}, "anchor": "y2"},
            yaxis={"title": {"text": axis_title("PSNR of x̂", "dB")}, "domain": [0.54, 1.0]},
            yaxis2={"title": {"text": axis_title("rate", "nats")}, "domain": [0.0, 0.46], "type": "log"},
        ),
    )
