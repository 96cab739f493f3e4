"""Rivals of COIN: random warps whose pixels move as far, but together.

All of them move pixels with COIN's own interpolation and border rule. At the strength α the mean
squared displacement along an axis, over pixels and draws, is that of COIN, α²/3; only the
smoothness of the field differs.
"""

from __future__ import annotations

import math
from typing import ClassVar, Protocol, Self

import torch

from ued_core.context import exact_device
from ued_core.defenses.base import Defense
from ued_core.displacement import displace, draw_fields
from ued_core.errors import DataError, ParameterError
from ued_core.params import Parameter, param

# Corners of the square [−1, 1]², as x and y.
CORNERS = ((-1.0, -1.0), (1.0, -1.0), (-1.0, 1.0), (1.0, 1.0))
# Below half of the half side, four moved corners always bound a convex area, so the perspective map has no pole inside.
FARTHEST_CORNER = 0.45
BISECTIONS = 20

_STRENGTH_HELP = (
    "As far as COIN at the same α: the root of the mean squared displacement is α/√3 along each axis. "
    "Pixels nearby move together."
)


class Warp(Defense):
    """Moves pixels by a random field; subclasses draw the field."""

    acts: ClassVar[frozenset[str]] = frozenset({"augment"})

    strength: float = param(2.0, _STRENGTH_HELP, label="strength α", unit="px", ge=0.0, le=6.0, step=0.05)

    def fields(self, shape: tuple[int, int, int], rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """One displacement field an image.

        Args:
            shape: (N, H, W).
            rng: generator; the fields live on its device.

        Returns:
            dx and dy, float32 (N, H, W), in pixels, with E[(dx² + dy²)/2] = α²/3 over pixels and draws.
        """
        raise NotImplementedError

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        n, _, height, width = images.shape
        return displace(images, *self.fields((n, height, width), rng))


def centred(side: int, device: torch.device) -> torch.Tensor:
    """Places of pixels on a line from −1 to 1; float32 (side,)."""
    return torch.linspace(-1, 1, side, device=device) if side > 1 else torch.zeros(1, device=device)


class RandomAffine(Warp):
    """Turns, stretches, shears and shifts the whole image by a random affine map.

    Each displacement is a linear function of the place, plus a shift; its six numbers are uniform and
    independent, with the same spread in pixels.

    Source:
        Random affine augmentation, matched to COIN (arXiv 2311.18403) in mean squared displacement; a question of its
        reviewers.

    Differs:
        The usual libraries draw angle, scale and shear one by one and fill up with black; here the matrix is drawn
        directly and the border wraps around as in COIN.
    """

    key: ClassVar[str] = "random_affine"
    title: ClassVar[str] = "Random affine map"

    def fields(self, shape: tuple[int, int, int], rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        n, height, width = shape
        x, y = centred(width, rng.device), centred(height, rng.device)
        # E[(ax + by + t)²] = r²/3 · (mean x² + mean y² + 1) for a, b, t from U(−r, r).
        reach = self.strength / math.sqrt(1 + float(x.square().mean()) + float(y.square().mean()))
        a, b, t = torch.empty((3, 2, n, 1, 1), device=rng.device).uniform_(-reach, reach, generator=rng)
        dx, dy = a * x + b * y[:, None] + t
        return dx, dy


class RandomPerspective(Warp):
    """Looks at the image from a random direction: its four corners move, straight lines stay straight.

    Each corner moves by two uniform numbers; the perspective map that takes the old corners to the
    new ones moves all other pixels.

    Source:
        Random perspective augmentation, matched to COIN (arXiv 2311.18403) in mean squared displacement; a question of
        its reviewers.

    Differs:
        The usual libraries move corners only inwards; here they move to all sides, and the border wraps around
        as in COIN. The match holds to first order: up to α = 3.2 px on 32×32 images it is exact to about 1 %.
    """

    key: ClassVar[str] = "random_perspective"
    title: ClassVar[str] = "Random perspective"

    strength: float = param(2.0, _STRENGTH_HELP, label="strength α", unit="px", ge=0.0, le=3.2, step=0.05, quick=1.0)

    def fields(self, shape: tuple[int, int, int], rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        n, height, width = shape
        half = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
        if min(height, width) < 2:
            raise DataError(f"Images are {height}×{width}, but a perspective needs four different corners.")
        reach = self.strength / math.sqrt(mean_response(height, width))
        if reach > FARTHEST_CORNER * float(half.min()):
            raise DataError(
                f"At strength {self.strength:g} px the corners would move up to {reach:.1f} px, too far for "
                f"{height}×{width} images.",
                f"Take at most {self.strength * FARTHEST_CORNER * float(half.min()) / reach:.2f} px.",
            )
        device = exact_device(rng.device)
        drawn = torch.empty((n, 4, 2), device=rng.device).uniform_(-reach, reach, generator=rng)
        moved = drawn.to(device).double() / half.to(device)
        x, y = centred(width, device).double(), centred(height, device).double()[:, None]
        a, b, c, d, e, f, g, h = homographies(moved).T[..., None, None]
        below = 1 + g * x + h * y
        dx, dy = (a * x + b * y + c) / below - x, (d * x + e * y + f) / below - y
        return (dx * half[0].item()).float().to(rng.device), (dy * half[1].item()).float().to(rng.device)


def corner_equations(target: torch.Tensor) -> torch.Tensor:
    """The linear equations that a … h of :func:`homographies` satisfy, as matrices.

    Args:
        target: float64 (N, 4, 2), where each of :data:`CORNERS` goes.

    Returns:
        float64 (N, 8, 8); first the equations of x' for the four corners, then those of y'.
    """
    corners = torch.tensor(CORNERS, dtype=target.dtype, device=target.device)
    x, y = (corners[:, k].expand(len(target), 4) for k in (0, 1))
    nothing, one = torch.zeros_like(x), torch.ones_like(x)
    along_x = torch.stack([x, y, one, nothing, nothing, nothing, -x * target[..., 0], -y * target[..., 0]], -1)
    along_y = torch.stack([nothing, nothing, nothing, x, y, one, -x * target[..., 1], -y * target[..., 1]], -1)
    return torch.cat([along_x, along_y], 1)


def homographies(moved: torch.Tensor) -> torch.Tensor:
    """The perspective maps that move the corners of [−1, 1]².

    Args:
        moved: float64 (N, 4, 2), by how much each of :data:`CORNERS` moves in x and y.

    Returns:
        float64 (N, 8): a … h of x' = (ax + by + c)/(1 + gx + hy) and y' = (dx + ey + f)/(1 + gx + hy).
    """
    target = torch.tensor(CORNERS, dtype=moved.dtype, device=moved.device) + moved
    return torch.linalg.solve(corner_equations(target), torch.cat([target[..., 0], target[..., 1]], 1))


def mean_response(height: int, width: int) -> float:
    """Mean squared displacement of pixels when every coordinate of every corner moves by independent numbers of
    variance 1 px².

    To first order in the movement, and averaged over both axes.
    """
    half = torch.tensor([(width - 1) / 2, (height - 1) / 2], dtype=torch.float64)
    # At the identity a … h follow the corners linearly, by this inverse: first x of the four corners, then y.
    inverse = torch.linalg.inv(corner_equations(torch.tensor(CORNERS, dtype=torch.float64)[None]))[0]
    lines = (centred(side, torch.device("cpu")).double() for side in (width, height))
    x, y = (place.reshape(-1, 1) for place in torch.meshgrid(*lines, indexing="xy"))
    nothing, one = torch.zeros_like(x), torch.ones_like(x)
    along_x = torch.cat([x, y, one, nothing, nothing, nothing, -x * x, -x * y], 1) @ inverse
    along_y = torch.cat([nothing, nothing, nothing, x, y, one, -y * x, -y * y], 1) @ inverse
    corner_unit = half.repeat_interleave(4)
    total = (along_x * half[0] / corner_unit).square().sum(1) + (along_y * half[1] / corner_unit).square().sum(1)
    return float(total.mean()) / 2


class Elastic(Warp):
    """COIN with a smoothed field: neighbours move almost alike, as in rubber.

    COIN's independent displacements are blurred with a Gaussian of σ pixels and scaled back to their
    spread. At σ = 0 this is COIN itself, so σ leads from COIN to a smooth warp in one turn.

    Source:
        Elastic distortions of Simard, Steinkraus and Platt (ICDAR 2003), with their σ of 4 px; matched to COIN
        (arXiv 2311.18403) in mean squared displacement.

    Differs:
        The blur goes around the border, so that all pixels move equally far, and the strength is in COIN's α instead
        of a factor on the blurred field.
    """

    key: ClassVar[str] = "elastic"
    title: ClassVar[str] = "Elastic distortion"

    smoothness: float = param(
        4.0,
        "Standard deviation of the blur of the field; 0 is COIN.",
        label="smoothness σ",
        unit="px",
        ge=0.0,
        le=8.0,
        step=0.25,
    )

    def fields(self, shape: tuple[int, int, int], rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        drawn = torch.stack(draw_fields(shape, self.strength, rng))
        if self.smoothness > 0:
            rows, columns = (circular_blur(side, self.smoothness).to(drawn) for side in shape[1:])
            drawn = rows @ drawn @ columns
        return drawn[0], drawn[1]


def circular_blur(side: int, sigma: float) -> torch.Tensor:
    """A Gaussian blur of a closed line of pixels that keeps the variance of independent numbers.

    Args:
        side: number of pixels.
        sigma: standard deviation, in pixels; above 0.

    Returns:
        float64 (side, side), symmetric; the squares of every row sum to 1.
    """
    reach = math.ceil(5 * sigma)
    away = torch.arange(-reach, reach + 1, dtype=torch.float64)
    # Tails that go around the line several times add up.
    line = torch.zeros(side, dtype=torch.float64).index_add_(
        0, away.long() % side, torch.exp(-0.5 * (away / sigma) ** 2)
    )
    line /= line.square().sum().sqrt()
    place = torch.arange(side)
    return line[(place[:, None] - place) % side]


class SmoothField(Warp):
    """Moves a coarse grid of points at random; pixels between them follow a smooth surface.

    A few control points per axis each get two uniform numbers, and cubic B-splines carry them to the
    pixels. Fewer points give larger regions that move together.

    Source:
        Free-form deformations by B-splines (Rueckert et al. 1999), matched to COIN (arXiv 2311.18403) in mean squared
        displacement.

    Differs:
        The grid goes around the border, as COIN's rule for positions does.
    """

    key: ClassVar[str] = "smooth_field"
    title: ClassVar[str] = "Smooth displacement field"

    points: int = param(4, "Control points along a side.", label="control points", ge=2, le=16)

    def fields(self, shape: tuple[int, int, int], rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        n, height, width = shape
        drawn = torch.stack(draw_fields((n, self.points, self.points), self.strength, rng))
        rows, columns = (spline_weights(side, self.points).to(drawn) for side in (height, width))
        dx, dy = rows @ drawn @ columns.T
        return dx, dy


def spline_weights(side: int, points: int) -> torch.Tensor:
    """How pixels of a closed line follow equally spaced control points, by cubic B-splines.

    Args:
        side: number of pixels.
        points: number of control points.

    Returns:
        float64 (side, points), scaled so that independent numbers of variance 1 at the points give pixels a mean
        variance of 1.
    """
    place = torch.arange(side, dtype=torch.float64) * points / side
    whole = place.floor()
    t = place - whole
    weights = torch.zeros((side, points), dtype=torch.float64)
    cubes = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    for k, cube in enumerate(cubes):
        # With two or three points one of them acts from both sides, so weights add up.
        weights[torch.arange(side), (whole.long() + k - 1) % points] += cube / 6
    return weights / weights.square().sum(1).mean().sqrt()


class WithStrength(Protocol):
    """A configured defence with a field ``strength`` that has a range."""

    strength: float

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]: ...
    def with_values(self, **values: float) -> Self: ...
    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor: ...


def distortion(defense: WithStrength, images: torch.Tensor, seed: int = 0) -> float:
    """Root mean squared change of a value, in [0, 1], over the images and one draw each.

    Args:
        defense: what acts on every batch.
        images: float (N, C, H, W) in [0, 1].
        seed: of the draws.
    """
    rng = torch.Generator(images.device).manual_seed(seed)
    return float((defense.augment(images, rng) - images).square().mean().sqrt())


def matched_strength(defense: WithStrength, images: torch.Tensor, target: float, seed: int = 0) -> float:
    """The strength at which a warp changes pixel values as much as asked for.

    Equal α means that pixels move equally far; this matches how much the images change instead.

    Args:
        defense: a warp, COIN or a part of it; its own strength does not matter.
        images: float (N, C, H, W) in [0, 1], the images to match on.
        target: the wanted :func:`distortion`.
        seed: of the draws.

    Raises:
        ParameterError: no strength in the declared range changes the images that much.
    """
    declared = next(p for p in defense.parameters() if p.name == "strength")
    low, high = float(declared.minimum or 0.0), float(declared.maximum or 0.0)
    ends = [distortion(defense.with_values(strength=s), images, seed) for s in (low, high)]
    if not ends[0] <= target <= ends[1]:
        raise ParameterError(
            f"The distortion is {target:g}, but with strengths from {low:g} to {high:g} px it must be from "
            f"{ends[0]:.3g} to {ends[1]:.3g}."
        )
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if distortion(defense.with_values(strength=middle), images, seed) < target:
            low = middle
        else:
            high = middle
    return (low + high) / 2
