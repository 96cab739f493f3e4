"""What both edge detectors see: convolutions with zeros beyond the border, with reflection, and other attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.statements.stored import bullets
from ued_core.results.open_answers import listed

USUAL = 0.3
"""p_b of the versions that are spoken of."""
KNOWS = 0.9
"""From such an AUC on, a detector is said to tell an attack."""


def words(record: Mapping[str, Any]) -> str:
    """Markdown: what the rows say.

    Args:
        record: what ``assets/results/edge_detector.json`` holds.
    """
    rows = [row for row in record["rows"] if "failure" not in row and row["blur"] == USUAL]
    clean = [row for row in rows if row["against"] == "clean"]
    others = [row for row in rows if row["against"] != "clean" and not row["convolution"]]
    return bullets([_threshold(record, clean), _trained(clean), _border(clean), _others(others)])


def _padded(rows: Sequence[Mapping[str, Any]], padding: str) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["padding"] == padding]


def _range(values: Sequence[float], digits: int = 2) -> str:
    low, high = (f"{round(bound, digits) + 0.0:.{digits}f}".replace("-", "−") for bound in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _threshold(record: Mapping[str, Any], clean: Sequence[Mapping[str, Any]]) -> str:
    """Where the border score's threshold lies."""
    sets, attacked = (
        [own["score"] for own in record["clean"].values()],
        [row["score"] for row in _padded(clean, "zero")],
    )
    if not sets or not attacked:
        return ""
    apart = max(sets) < record["threshold"] < min(attacked)
    verdict = "lies between" if apart else "does not lie between"
    return (
        f"The **threshold** of {record['threshold']:g} {verdict} the scores of clean sets ({_range(sets)}) and those "
        f"of zero-padded attacks at p_b = {USUAL:g} ({_range(attacked)}). It was chosen after seeing them, so the "
        "verdicts of this table are no test of it."
    )


def _trained(clean: Sequence[Mapping[str, Any]]) -> str:
    """EPD against clean images, attack by attack."""
    parts = []
    for attack in dict.fromkeys(row["attack"] for row in clean):
        own = [row["trained_auc"] for row in _padded(clean, "zero") if row["attack"] == attack]
        if own:
            parts.append(f"{attack.upper()} {_range(own)}")
    return (
        f"**EPD** against clean images with zero padding, AUC over the data sets: {', '.join(parts)}." if parts else ""
    )


def _border(clean: Sequence[Mapping[str, Any]]) -> str:
    """Who is found by the border score, and whom reflection lets through."""
    parts = []
    zero = _padded(clean, "zero")
    found = sum(row["finding"] == "darkened" for row in zero)
    if zero:
        parts.append(f"finds {found} of {len(zero)} zero-padded sets (AUC {_range([row['free_auc'] for row in zero])})")
    reflected = _padded(clean, "reflect")
    for data in dict.fromkeys(row["dataset"] for row in reflected):
        own = [row for row in reflected if row["dataset"] == data]
        seen = sum(row["finding"] == "darkened" for row in own)
        aucs = f"AUC {_range([row['free_auc'] for row in own])}, EPD's {_range([row['trained_auc'] for row in own])}"
        parts.append(f"of those that reflect on {data} it finds {seen} of {len(own)} ({aucs})")
    return f"The **border score** {'; '.join(parts)}." if parts else ""


def _others(others: Sequence[Mapping[str, Any]]) -> str:
    """Zero-padded CUDA among the images of other attacks."""
    own = [row for row in _padded(others, "zero") if row["attack"] == "cuda"]
    if not own:
        return ""
    missed = sorted({f"{row['against']} on {row['dataset']}" for row in own if row["free_auc"] < KNOWS})
    worst = min(own, key=lambda row: row["free_auc"])
    verdict = f"an AUC of {KNOWS:g} or more" if not missed else f"an AUC below {KNOWS:g} for {listed(missed)}"
    return (
        f"**Against other attacks** the border score tells zero-padded CUDA with {verdict}; the lowest is "
        f"{worst['free_auc']:.2f} ({worst['against']} on {worst['dataset']})."
    )
