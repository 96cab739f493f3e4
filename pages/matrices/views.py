"""One operator seen as matrix, kernel, singular values and frequency response."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import streamlit as st
import torch
from scipy import sparse

from pages.frame.cache import cached
from pages.state import background
from pages.state.choice import Selection
from pages.state.kernel_controls import class_control
from pages.state.stack import DRAW
from pages.widgets.controls import method_controls, parameter_control, segments, set_control
from pages.widgets.live_chart import fresh_click, live_chart
from ued_core.defenses import Coin
from ued_core.figures import spectra as pictures
from ued_core.params import Parameter
from ued_core.theory import spectrum as forms
from ued_core.theory.matrices import Padding
from ued_core.theory.spectrum import OperatorName

SIZES = (6, 8, 16, 32, 64)
#: up to this side the whole matrix is drawn, cell by cell
WHOLE = 16
#: up to this side all singular values take less than the rest of the page
AT_ONCE = 16
AROUND, FARTHEST = 11, 600
#: the page is drawn before the cores are asked for decompositions, and a moving slider asks for the last ones only
DRAWN_FIRST_S = 0.25
DRAWS = Parameter(
    name="draws", label="draws in the mean (n)", kind="int", default=50, minimum=1, maximum=200,
    help="How many random COIN matrices the mean is taken over. A mean of one draw is that draw.",
)  # fmt: skip
NAMES: dict[OperatorName, str] = {
    "attack": "attack A",
    "coin": "COIN R",
    "product": "attack, then COIN: R·A",
    "mean": "mean of many draws: E[R]·A",
    "difference": "difference of two classes",
}
WITHOUT_KERNELS: tuple[OperatorName, ...] = ("coin", "mean")
FORMULAS = {
    "attack": "y = A_{k} x,   A_{k}[p, q] = K_{k}[q − p] inside the image",
    "coin": "y = R x,   row p: bilinear weights at p + s_{p},   s_{p} ~ U(−α, α)^{2}",
    "product": "y = R A_{k} x",
    "mean": "(1/n) Σ_{i} R_{i} A_{k}",
    "difference": "E[R] (A_{k} − A_{j})",
}
KEYS = ("operator_matrix", "operator_overview", "operator_taps", "operator_kernel")


class Parts(NamedTuple):
    """The arguments of :func:`ued_core.figures.operators.operator_spectrum`, by which results are kept."""

    name: OperatorName
    kernel: np.ndarray | None
    side: int
    strength: float
    draws: int
    seed: int
    other: np.ndarray | None
    padding: Padding


@dataclass(frozen=True)
class Shown:
    """What the room shows: everything that an operator is made from.

    Attributes:
        name: which operator.
        kernel, other: float (k, k), filters of the class and of the second class, or ``None``.
        side: of the image.
        strength: α in pixels.
        draws: n.
        seed: of the draws.
        label, second: class names.
        padding: the attack's border rule.
    """

    name: OperatorName
    kernel: np.ndarray | None
    other: np.ndarray | None
    side: int
    strength: float
    draws: int
    seed: int
    label: str
    second: str
    padding: Padding

    @property
    def parts(self) -> Parts:
        """The arguments of :func:`ued_core.theory.spectrum.operator_spectrum`; what a name does not use is left out."""
        return parts_of(self.name, self)

    @property
    def words(self) -> str:
        """The operator in words."""
        at = f"α = {self.strength:g} px"
        after = f" after the attack on class {self.label}" if self.kernel is not None else ""
        return {
            "attack": f"the attack on class {self.label}",
            "coin": f"one draw of COIN at {at}",
            "product": f"one draw of COIN{after}, {at}",
            "mean": f"the mean of {self.draws} draws of COIN{after}, {at}",
            "difference": f"the difference of classes {self.label} and {self.second}, averaged over all draws of "
            f"COIN at {at}",
        }[self.name]


def parts_of(name: OperatorName, shown: Shown) -> Parts:
    """What one operator is made from, and nothing else, so that results are kept as long as they hold."""
    random = name in ("coin", "product", "mean")
    return Parts(
        name,
        None if name == "coin" else shown.kernel,
        shown.side,
        0.0 if name == "attack" else shown.strength,
        shown.draws if name == "mean" else 1,
        shown.seed if random else 0,
        shown.other if name == "difference" else None,
        shown.padding,
    )


# ---- controls --------------------------------------------------------------------------------


def controls(choice: Selection, kernels: np.ndarray | None) -> tuple[Shown, int]:
    """All controls of the room; what is shown, and the chosen output pixel."""
    options = NAMES if kernels is not None else {name: NAMES[name].removesuffix("·A") for name in WITHOUT_KERNELS}
    names = choice.train.class_names
    with st.container(border=True):
        name = segments("Operator", options, key="operator", default=next(iter(options)))
        left, middle, right = st.columns(3)
        with left:
            strength = method_controls(Coin, key="defence", only=("strength",)).strength
        with middle:
            label = class_control(names, key="class", label="class")
        other = label
        if name == "difference":
            with right:
                other = class_control(names, key="class2", label="second class", first=1)
        # What a first look needs is above; the others have room where they are opened.
        with st.expander("Image size, output pixel, draws"):
            first, second = st.columns(2)
            with first:
                side = int(segments("Image size (px)", {str(n): f"{n}²" for n in SIZES}, key="size", default="8"))
                draws = parameter_control(DRAWS, key="draws", default=DRAWS.default)
            with second:
                row = _pixel(side)
                seed = parameter_control(DRAW, key="draw", default=DRAW.default)
    own, against = (None, None) if kernels is None else (kernels[label], kernels[other])
    padding = choice.attack.model_dump().get("padding", "zero")
    return Shown(name, own, against, side, strength, draws, seed, names[label], names[other], padding), row


def _pixel(side: int) -> int:
    """The output pixel: a slider or number, and every click on a picture."""
    key, last = f"pixel{side}", side * side - 1
    start = side * (side // 2) + side // 2
    if point := fresh_click(*KEYS):
        set_control(key, clicked_pixel(point, st.session_state.get(key, start), side))
    pixel = Parameter(
        name="pixel", label="output pixel p", kind="int", default=start, minimum=0, maximum=last,
        help="Row of the matrix. A click on the matrix, on the kernel or on a picture chooses it, too.",
    )  # fmt: skip
    return parameter_control(pixel, key=key, default=start)


def clicked_pixel(point: dict, current: int, side: int) -> int:
    """The output pixel that a click on one of the room's charts means.

    Args:
        point: ``x``, ``y`` and the ``chart`` it was on.
        current: the pixel chosen until now; a tap of the kernel is counted from there.
        side: of the image.
    """
    x, y = round(float(point["x"])), round(float(point["y"]))
    if point["chart"] in ("operator_matrix", "operator_overview"):
        return min(max(y, 0), side * side - 1)
    if point["chart"] == "operator_kernel":
        y, x = y + current // side, x + current % side
    return (y % side) * side + x % side


# ---- what is kept ----------------------------------------------------------------------------


@cached(max_entries=32)
def _matrix(
    name: OperatorName,
    kernel: np.ndarray | None,
    side: int,
    strength: float,
    draws: int,
    seed: int,
    other: np.ndarray | None,
    padding: Padding,
) -> sparse.csr_matrix:
    return forms.operator(
        name, kernel, size=(side, side), strength=strength, draws=draws, seed=seed, other=other, padding=padding
    )


@cached(max_entries=128)
def _bands(parts: Parts) -> forms.Bands:
    return forms.band_statistics(_matrix(*parts))


@cached(max_entries=64)
def _density(parts: Parts) -> np.ndarray:
    return forms.block_density(_matrix(*parts))


@cached(max_entries=128)
def _spectrum(parts: Parts) -> np.ndarray:
    return forms.operator_spectrum(*parts)


@cached(max_entries=64)
def _response(kernel: np.ndarray, side: int) -> np.ndarray:
    return forms.frequency_response(kernel, side, side)


@cached(max_entries=64)
def _coin_response(strength: float, side: int) -> np.ndarray:
    return forms.coin_response(strength, side, side)


@cached(max_entries=64)
def sized(image: torch.Tensor, side: int) -> torch.Tensor:
    """An image in another size: uint8 (1, C, H, W) → uint8 (1, C, side, side)."""
    if image.shape[-2:] == (side, side):
        return image
    smooth = torch.nn.functional.interpolate(
        image.float(), (side, side), mode="bilinear", antialias=True, align_corners=False
    )
    return smooth.round().clamp(0, 255).to(torch.uint8)


def written(
    matrix: sparse.csr_matrix, image: torch.Tensor, attack: sparse.csr_matrix | None, signed: bool
) -> torch.Tensor:
    """What an operator makes of an image, as bytes.

    Args:
        matrix: the operator, (d, d).
        image: uint8 (1, C, H, W).
        attack: the attack's matrix; the result is divided by the largest value after it, as the attack does.
        signed: show zero as grey and fill the range, for differences.
    """
    flat = image.numpy().reshape(image.shape[1], -1).T / 255.0
    result = matrix @ flat
    if attack is not None:
        result = result / max(float((attack @ flat).max()), 1e-12)
    if signed:
        result = 0.5 + result / max(2 * float(np.abs(result).max()), 1e-12)
    shown = np.clip(np.rint(255 * result), 0, 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(shown.T)).view(image.shape)


# ---- views -----------------------------------------------------------------------------------


def matrix_view(shown: Shown, row: int) -> None:
    """The matrix: whole when small; else the part around the row, and where the entries lie."""
    matrix, bands = _matrix(*shown.parts), _bands(shown.parts)
    side, d = shown.side, shown.side**2
    caption = (
        f"**{d:,} × {d:,} entries, {bands.entries:,} of them not zero** ({100 * bands.share:.2g} %), "
        f"{bands.fewest} to {bands.most} in a row, on {bands.diagonals:,} diagonals; rows sum to "
        f"{bands.least_sum:.3g} … "
        f"{bands.largest_sum:.3g}. Framed: row {row}. Click a cell to choose its row; drag to zoom."
    )
    question = "As a matrix: which input pixels does each output pixel mix?"
    alt = f"Matrix of {shown.words}: {bands.entries} non-zero entries near the diagonals; row {row} is framed."
    name = f"{shown.name}_{side}"
    if side <= WHOLE:
        live_chart(
            pictures.operator_heatmap(matrix.toarray(), 0, 0, row),
            key="operator_matrix",
            height=560,
            alt=alt,
            filename=f"matrix_{name}",
            clickable=True,
            question=question,
            formula=FORMULAS[shown.name],
            caption=caption,
        )
        return
    block, top, left = around(matrix, row, side)
    live_chart(
        pictures.operator_heatmap(block, top, left, row),
        key="operator_matrix",
        height=330,
        alt=alt,
        filename=f"matrix_{name}_{row}",
        clickable=True,
        question=question,
        formula=FORMULAS[shown.name],
        caption=f"The rows around row {row}, cell by cell; the rest of the matrix is below. " + caption,
    )
    live_chart(
        pictures.operator_overview(_density(shown.parts), d, row), key="operator_overview", height=400, clickable=True,
        alt="Where the entries of the whole matrix lie: bands along the diagonal, denser for stronger shaking. Row "
            f"{row} is marked.",
        filename=f"overview_{name}",
        question="Where do the entries of the whole matrix lie?",
        formula="share of the (p, q) of a block with A[p, q] ≠ 0",
        caption=f"Each cell stands for {d // 128} × {d // 128} entries. **Broader bands: every output pixel draws on "
                "more of the image.**",
    )  # fmt: skip


def around(matrix: sparse.csr_matrix, row: int, side: int) -> tuple[np.ndarray, int, int]:
    """The part of a large matrix around one row, dense, and the place of its first entry.

    As wide as the row reaches without crossing the border of the image, at most 1201 columns.
    """
    d = matrix.shape[0]
    reach = len(forms.local_kernel(matrix, row, side, side)) // 2
    half = min(reach * side + reach + 4, FARTHEST)
    top, left = max(0, row - AROUND), max(0, row - half)
    return matrix[top : min(d, row + AROUND + 1), left : min(d, row + half + 1)].toarray(), top, left


def taps_view(shown: Shown, row: int, image: torch.Tensor) -> None:
    """The chosen row in the plane of the image."""
    matrix, side = _matrix(*shown.parts), shown.side
    attack = None if shown.kernel is None or shown.name == "coin" else _matrix(*parts_of("attack", shown))
    small = sized(image, side)
    weights = forms.row_weights(matrix, row, side, side)
    result = written(matrix, small, attack, shown.name == "difference")
    y, x = divmod(row, side)
    mixed = int(np.count_nonzero(weights))
    border = ""
    taps = 0 if shown.kernel is None else int(np.count_nonzero(shown.kernel))
    if shown.name == "attack" and shown.padding == "zero" and (missing := taps - mixed):
        border = f" {missing} of its taps fall off the image: beyond the border lies zero, which darkens the frame."
    elif shown.name != "attack" and mixed and _across(weights, y, x):
        border = " Some of them lie at the other side: COIN wraps around the border."
    size = (
        ""
        if tuple(image.shape[-2:]) == (side, side)
        else f" The image is resampled from {image.shape[-1]} × {image.shape[-2]}."
    )
    note = " Grey is zero; the range is filled." if shown.name == "difference" else ""
    live_chart(
        pictures.taps_in_image(small, result, weights, row), key="operator_taps", height=280, clickable=True,
        alt=f"An image of class {shown.label}, the {mixed} pixels that output pixel {row} mixes, and the image after "
            f"{shown.words}.",
        filename=f"taps_{shown.name}_{side}_{row}",
        question="Where in the image does the chosen row read?",
        formula="y[p] = Σ_{q} A[p, q] x[q]",
        caption=f"**Output pixel {row} is row {y}, column {x} of the image and mixes {mixed} input "
                f"pixels.**{border}{note}{size} "
        "Click a pixel to choose it.",
    )  # fmt: skip


def _across(weights: np.ndarray, y: int, x: int) -> bool:
    """Whether a row reads nearer across the border than inside the image."""
    rows, columns = np.nonzero(weights)
    return bool((2 * np.abs(rows - y) > len(weights)).any() or (2 * np.abs(columns - x) > weights.shape[1]).any())


def kernel_view(shown: Shown, row: int) -> None:
    """The row by displacement: the filter that acts at the chosen pixel."""
    window = forms.local_kernel(_matrix(*shown.parts), row, shown.side, shown.side)
    total = max(float(np.abs(window).sum()), 1e-12)
    beside = 1 - float(np.abs(window).max()) / total
    live_chart(
        pictures.kernel_heatmap(window), key="operator_kernel", height=380, clickable=True,
        alt=f"The filter of {shown.words} at pixel {row}: weights from {window.min():.3f} to {window.max():.3f}.",
        filename=f"kernel_{shown.name}_{row}",
        question="As a kernel: which filter acts at the chosen pixel?",
        formula="K[δ] = A[p, p + δ]",
        caption=f"Sum of the weights {window.sum():.3f}; {beside:.0%} of their absolute sum lies beside the largest "
                "one. The attack "
        "has **one kernel for all pixels**; a draw of COIN has another at every pixel; "
        "their mean comes close to one kernel again, and a broad one. Click a tap to go to the pixel it reads.",
    )  # fmt: skip


def response_view(shown: Shown) -> None:
    """What attack, mean COIN and both keep of each frequency."""
    side = shown.side
    coin = _coin_response(shown.strength, side)
    panels = [pictures.Response("E[R]", coin, 1.0)]
    outer = 2 * np.abs(forms.frequencies(side)).reshape(-1, 1) > 0.5
    high = outer | outer.T
    kept = f"E[R] keeps {coin[high].mean():.0%} of detail above ¼ cycle/pixel on average"
    formula = "|DFT of E[R]|"
    if shown.kernel is not None:
        apart = shown.name == "difference"
        kernel = shown.kernel - shown.other if apart else shown.kernel
        name = "(A<sub>k</sub> − A<sub>j</sub>)" if apart else "A<sub>k</sub>"
        attack = _response(kernel, side)
        top = float(attack.max())
        both = attack * coin
        panels = [pictures.Response(name, attack, top), *panels, pictures.Response(f"E[R]·{name}", both, top)]
        formula = "|DFT (K_{k} − K_{j})| · |DFT E[R]|" if apart else "|DFT K_{k}| · |DFT E[R]|"
        share = np.linalg.norm(both) / max(float(np.linalg.norm(attack)), 1e-12)
        kept += f", and {share:.0%} of the {'difference' if apart else 'attack'}'s norm"
    live_chart(
        pictures.frequency_responses(panels), key="operator_response", height=330,
        alt=f"Frequency response at α = {shown.strength:g} px. {kept}.",
        filename=f"frequency_{shown.name}_{side}",
        question="As a frequency response: which detail passes?",
        formula=formula,
        caption=f"The centre is brightness, the rim the finest detail. At α = {shown.strength:g} px **{kept}**. These "
                "are exactly the "
        "singular values for a border that wraps (circulant matrices); the attack's border rule changes the rows at "
        "the border only. "
        "A single draw of COIN is another filter at every pixel and has no frequency response; its mean has.",
    )  # fmt: skip


def singular_view(shown: Shown) -> None:
    """Singular values of the attack, COIN, their product and the mean."""
    side, d = shown.side, shown.side**2
    complete = d <= forms.SVD_LIMIT
    curves: list[pictures.Spectrum] = []
    wanted: list[tuple[OperatorName, str, pictures.Meaning, pictures.Dash]] = [
        ("coin", "R: one draw of COIN", "clean", "dash")
    ]
    if shown.kernel is not None:
        wanted += [("attack", "A: attack", "poisoned", "solid"), ("product", "R·A: one draw", "control", "dashdot")]
    if complete:
        wanted.append(("mean", f"mean of {shown.draws} draws", "defended", "solid"))
        if shown.name == "difference":
            wanted.append(("difference", "difference of two classes", "neutral", "dash"))
    found, asked = _values([(name, parts_of(name, shown)) for name, *_ in wanted])
    for name, label, role, dash in wanted:
        if (values := found.get(name)) is not None:
            curves.append(
                pictures.Spectrum(label if complete else f"{label} (6 largest)", values, role, dash, complete)
            )
    coin = _coin_response(shown.strength, side)
    if shown.kernel is not None:
        wrapped = _response(shown.kernel, side)
        curves.append(
            pictures.Spectrum("|DFT K<sub>k</sub>|: A with a border that wraps", _sorted(wrapped), "neutral", "dot")
        )
        if not complete:
            both = _sorted(wrapped * coin)
            curves.append(
                pictures.Spectrum("|DFT K<sub>k</sub>|·|DFT E[R]|: mean of all draws", both, "defended", "solid")
            )
    elif not complete:
        curves.append(pictures.Spectrum("E[R]: mean of all draws", _sorted(coin), "defended", "solid"))
    words = (
        "Exact, by a dense decomposition."
        if complete
        else f"{d:,} pixels are too many for all values of a matrix without symmetry: the lines are **approximations "
        "by the frequency response** (exact for a border that wraps), the diamonds the six largest true values."
    )
    spoken = {c.name: c.name.replace("<sub>k</sub>", "_{k}") for c in curves}
    low = ", ".join(f"{spoken[c.name]} {np.mean(c.values < c.values[0] / 10):.0%}" for c in curves if c.complete)
    follows = " The last curves are following …" if any(answer.waiting for answer in asked) else ""
    failed = [answer.error for answer in asked if answer.error is not None]
    follows += f" **Could not be computed:** {failed[-1]}" if failed else ""
    live_chart(
        pictures.singular_value_curves(curves, d), key="operator_values", height=430,
        alt="Singular values, largest "
            "first, of " + ", ".join(name.replace("_{k}", "") for name in spoken.values()) + ".",
        filename=f"singular_values_{side}",
        question="As singular values: how much can be undone?",
        formula="A = U Σ V^{T},   σ_{1} ≥ σ_{2} ≥ …",
        caption="A direction with a small σ is nearly erased. **Look at how steeply a curve falls.** One draw of COIN "
        f"keeps most directions; the mean over draws keeps few. Share of values below a tenth of the largest: {low}. "
        f"{words}{follows}",
    )  # fmt: skip
    background.wait_for(*asked, slot="spectra")


def _sorted(response: np.ndarray) -> np.ndarray:
    return np.sort(response.ravel())[::-1]


def _values(
    wanted: Sequence[tuple[OperatorName, Parts]],
) -> tuple[dict[str, np.ndarray], list[background.Answer[np.ndarray]]]:
    """Singular values by name, and what was asked for; the last ones of the same size stand in."""
    side = wanted[0][1].side
    if side <= AT_ONCE:
        return {name: _spectrum(parts) for name, parts in wanted}, []
    asked = [
        background.ask(forms.operator_spectrum, *parts, slot=f"spectrum {name}", like=str(side), after_s=DRAWN_FIRST_S)
        for name, parts in wanted
    ]
    found: dict[str, np.ndarray] = {
        name: answer.value
        for (name, _), answer in zip(wanted, asked, strict=True)
        if answer.value is not None and answer.error is None
    }
    return found, asked


def download(shown: Shown) -> None:
    """The shown operator as a sparse matrix; made when the button is pressed."""
    st.download_button(
        f"This matrix as .npz ({NAMES[shown.name]}, {shown.side} × {shown.side})",
        functools.partial(_archive, shown.parts),
        f"{shown.name}_{shown.side}.npz",
        "application/octet-stream",
        on_click="ignore",
        help="Read it with scipy.sparse.load_npz.",
    )


def _archive(parts: Parts) -> bytes:
    return forms.archive(_matrix(*parts))
