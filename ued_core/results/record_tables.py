"""The record as a table: CSV with every number, and Markdown and LaTeX for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ued_core.analysis.confidence import Interval
from ued_core.csv_export import csv_text
from ued_core.results.record import Back, Entry, Estimate, Gain
from ued_core.results.words import bounds

HEADINGS = ("data", "trained", "condition", "n", "accuracy", "gain", "recovery", "reported", "remarks")
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "[": "{[}", "]": "{]}",
    "±": r"$\pm$", "−": r"$-$", "·": r"$\cdot$", "×": r"$\times$", "∞": r"$\infty$", "≥": r"$\geq$", "≤": r"$\leq$",
    "α": r"$\alpha$", "ε": r"$\varepsilon$", "σ": r"$\sigma$", "ρ": r"$\rho$", "λ": r"$\lambda$", "Θ": r"$\Theta$",
    "→": r"$\rightarrow$", "–": "--", "…": r"\ldots{}",
}  # fmt: skip
_MARKDOWN = {mark: f"\\{mark}" for mark in "\\|*_`<>[]#~$"}


def csv_table(entries: Sequence[Entry]) -> str:
    """Every entry as a line, shares 0..1; no cell is a formula to a spreadsheet."""
    return csv_text([_numbers(entry) for entry in entries])


def markdown_table(entries: Sequence[Entry]) -> str:
    """A table for people, in per cent and points."""
    lines = [HEADINGS, ("---",) * len(HEADINGS)]
    body = [[_escaped(cell, _MARKDOWN) for cell in _cells(entry)] for entry in entries]
    return "".join(f"| {' | '.join(line)} |\n" for line in [*lines, *body])


def latex_table(entries: Sequence[Entry]) -> str:
    """The same as a tabular that needs no package."""
    lines = [" & ".join(_escaped(cell, _LATEX) for cell in _cells(entry)) + r" \\" for entry in entries]
    head = " & ".join(HEADINGS) + r" \\ \hline"
    return "\n".join([rf"\begin{{tabular}}{{{'l' * len(HEADINGS)}}}", head, *lines, r"\end{tabular}"]) + "\n"


TABLES: Mapping[str, Callable[[Sequence[Entry]], str]] = MappingProxyType(
    {"csv": csv_table, "markdown": markdown_table, "latex": latex_table}
)
"""Forms of the table by name."""


def _escaped(text: str, marks: Mapping[str, str]) -> str:
    return "".join(marks.get(letter, letter) for letter in " ".join(text.split()))


def _cells(entry: Entry) -> list[str]:
    error = "" if entry.test_error is None else f", test set ± {100 * entry.test_error:.1f}"
    back = entry.recovery
    remarks = [reason.split(":")[0].lower() for reason in entry.unreliable]
    card = entry.card
    size = "" if card.train is None else f" {card.train:,} + {card.test or 0:,}"
    epochs = f", {card.plan['epochs']} epochs" if "epochs" in card.plan else ""
    return [
        f"{card.dataset['name']}{size}",
        f"{card.model['name']}, {card.plan['name']}{epochs}",
        entry.condition,
        str(entry.accuracy.n),
        f"{_level(entry.accuracy)}{error}",
        _gain(entry.gain) if entry.gain else "",
        recovery_text(back) if back else "",
        "; ".join(
            f"{100 * paper.accuracy:.1f} ({paper.source}, {_differing(paper.differs)})" for paper in entry.reported
        ),
        "; ".join([*remarks, *([entry.note] if entry.note else [])]),
    ]


def _differing(reasons: Sequence[str]) -> str:
    return f"differs in {len(reasons)} {'ways' if len(reasons) > 1 else 'way'}" if reasons else "same protocol"


def _level(found: Estimate) -> str:
    return f"{100 * found.mean:.1f}{bounds(found.interval and Interval(*found.interval))}"


def _gain(found: Gain) -> str:
    few = " (few seeds)" if found.few else ""
    bracket = bounds(found.interval and Interval(*found.interval))
    return f"{100 * found.mean:+.1f}{bracket} n{found.n}: {found.verdict}{few}".replace("-", "−")


def recovery_text(found: Back) -> str:
    """``79 % [62, 101] n3``."""
    low, high = (f"{100 * bound:.0f}" for bound in found.interval)
    return f"{100 * found.share:.0f} % [{low}, {high}] n{found.n}".replace("-", "−")


def _numbers(entry: Entry) -> dict[str, Any]:
    low, high = entry.accuracy.interval or (None, None)
    told = {
        "data": entry.card.dataset["name"],
        "condition": entry.condition,
        "origin": entry.origin,
        "attack": entry.card.attack["name"] if entry.card.attack else "none",
        "defences": " + ".join(defence["name"] for defence in entry.card.defenses) or "none",
        "model": entry.card.model["name"],
        "plan": entry.card.plan["name"],
        "train_images": entry.card.train,
        "test_images": entry.card.test,
        "n": entry.accuracy.n,
        "accuracy": entry.accuracy.mean,
        "sd": entry.accuracy.spread,
        "low": low,
        "high": high,
        "next_run_low": (entry.accuracy.next_run or (None, None))[0],
        "next_run_high": (entry.accuracy.next_run or (None, None))[1],
        "test_error": entry.test_error,
    }
    if gain := entry.gain:
        low, high = gain.interval or (None, None)
        told |= {
            "gain": gain.mean,
            "gain_n": str(gain.n),
            "gain_low": low,
            "gain_high": high,
            "gain_verdict": gain.verdict,
        }
    if back := entry.recovery:
        told |= {"recovery": back.share, "recovery_low": back.interval[0], "recovery_high": back.interval[1]}
    told |= {
        "reported": "; ".join(f"{paper.accuracy:g} {paper.source}" for paper in entry.reported) or None,
        "differs": " ".join(entry.differs) or None,
        "unreliable": " ".join(entry.unreliable) or None,
        "note": entry.note or None,
        "seeds": " ".join(str(run.seed) for run in entry.runs),
        "keys": " ".join(run.key for run in entry.runs),
        "id": entry.id,
    }
    return told
