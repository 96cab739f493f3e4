"""The procedural set: ten shapes in coloured, textured scenes."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F

from ued_core.compiled import one_thread
from ued_core.context import Context
from ued_core.data.base import Dataset
from ued_core.params import param
from ued_core.records import LUMA, DataSplit, ImageSet, to_bytes

CLASS_NAMES = ("disc", "ring", "square", "triangle", "star", "cross", "crescent", "heart", "arrow", "hourglass")
SIDE = 32

_TEMPLATE = 64
_CHUNK = 250
_SPECTRUM = 1.2
_DARKEST, _BRIGHTEST = 0.05, 0.85


class Scenes(NamedTuple):
    """Drawn images with what was drawn where.

    Attributes:
        images: uint8 (N, 3, 32, 32).
        labels: int64 (N,).
        coverage: float32 (N, 1, 32, 32) in [0, 1], the object's share of each pixel.
    """

    images: torch.Tensor
    labels: torch.Tensor
    coverage: torch.Tensor


class Shapes(Dataset):
    """Ten drawn shapes in coloured, textured scenes, made on the spot without any file.

    One object on a background: random place, size, rotation and colours, a texture with the
    1/f spectrum of natural images, small distracting fragments behind the object, and noise.
    Colour says nothing about the class and no pixel has a fixed meaning, so a linear model on
    pixels is weak while a small convolutional network learns the set in a minute. Object and
    background always differ in luma, so the shape survives conversion to greyscale.

    Source:
        Made for this program.
    """

    key: ClassVar[str] = "shapes"
    title: ClassVar[str] = "Shapes"
    embedded: ClassVar[bool] = True

    train_size: int = param(
        5000, "Images to train on, the same number of every class.", ge=10, le=50000, step=10, quick=200
    )
    test_size: int = param(1000, "Images to test on.", ge=10, le=10000, step=10, quick=100)
    seed: int = param(0, "The set's own seed: another one draws other images.", ge=0, le=2**31 - 1)
    side: int = param(
        SIDE,
        "Side length of the images: the same scenes with more pixels, but noise and clutter drawn anew.",
        unit="px",
        ge=16,
        le=128,
        step=16,
        later=True,
    )
    texture: float = param(0.06, "Strength of the 1/f texture on object and background.", ge=0.0, le=0.4, step=0.01)
    noise: float = param(0.08, "Standard deviation of the white noise over everything.", ge=0.0, le=0.3, step=0.01)
    clutter: int = param(3, "Small distracting fragments behind the object, at most.", ge=0, le=8)
    rotation: float = param(
        25.0, "The object is turned by up to this angle either way.", unit="°", ge=0.0, le=180.0, step=1.0
    )
    smallest: float = param(0.62, "Smallest size of the object, as a share of the image.", ge=0.3, le=0.75, step=0.01)
    largest: float = param(0.92, "Largest size of the object, as a share of the image.", ge=0.75, le=1.0, step=0.01)
    contrast: float = param(
        0.35, "Least difference in luma between object and background colour.", ge=0.1, le=0.6, step=0.01
    )

    def pixels(self) -> int:
        """Of both parts."""
        return (self.train_size + self.test_size) * self.side**2

    def load(self, ctx: Context) -> DataSplit:
        """Draw both parts; each comes from its own random stream."""
        train = self.draw(self.train_size, "train", ctx)
        test = self.draw(self.test_size, "test", ctx)
        return DataSplit(
            ImageSet(train.images, train.labels, CLASS_NAMES, self.key),
            ImageSet(test.images, test.labels, CLASS_NAMES, self.key),
        )

    def draw(self, count: int, stream: str, ctx: Context) -> Scenes:
        """Draw ``count`` scenes from the named random stream; classes balanced within one.

        Raises:
            Cancelled: the user stopped the work.
        """
        generator = ctx.with_seed(self.seed).generator(self.key, stream, device="cpu")
        templates = shape_masks()
        labels = torch.arange(count) % len(CLASS_NAMES)
        labels = labels[torch.randperm(count, generator=generator)]
        images = torch.empty(count, 3, self.side, self.side, dtype=torch.uint8)
        coverage = torch.empty(count, 1, self.side, self.side)
        for start in range(0, count, _CHUNK):
            ctx.report(start, count, f"Drawing shapes ({stream})")
            rows = slice(start, start + _CHUNK)
            images[rows], coverage[rows] = self._scene(labels[rows], templates, generator)
        ctx.report(count, count, f"Drawing shapes ({stream})")
        return Scenes(images, labels, coverage)

    def _scene(
        self, labels: torch.Tensor, templates: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        draw = _Draws(len(labels), generator, self.side)
        scale = draw.between(self.smallest, self.largest)
        angle = draw.between(-1, 1) * math.radians(self.rotation)
        room = (1 - scale).clamp(min=0) + 0.06
        cover = _place(
            templates, labels, scale, angle, draw.between(-1, 1) * room, draw.between(-1, 1) * room, 2, self.side
        )
        behind, front = self._colours(draw)
        canvas = behind + self._surface(draw)
        for _ in range(self.clutter):
            share, colour = _fragment(templates, draw)
            canvas = torch.lerp(canvas, colour, share)
        canvas = torch.lerp(canvas, front + self._surface(draw), cover)
        canvas += draw.normal(3) * self.noise
        return to_bytes(canvas), cover

    def _colours(self, draw: _Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Background and object colour, each (N, 3, 1, 1), at least ``contrast`` apart in luma."""
        spare = _BRIGHTEST - _DARKEST - self.contrast
        apart = self.contrast + 0.5 * spare * draw.between(0, 1)
        dark = _DARKEST + (_BRIGHTEST - _DARKEST - apart) * draw.between(0, 1)
        swap = draw.between(0, 1) < 0.5
        behind = torch.where(swap, dark, dark + apart)
        front = torch.where(swap, dark + apart, dark)
        behind, front = (
            _colour(draw.between(0, 1), draw.between(0.15, 0.90), luma)[:, :, None, None] for luma in (behind, front)
        )
        return behind, front

    def _surface(self, draw: _Draws) -> torch.Tensor:
        """Texture to add to a flat colour, (N, 3, side, side): mostly of luma, a third of it coloured."""
        waves = _texture(draw)
        return waves[:, :1] * (self.texture * draw.between(0.5, 1.5)[:, None, None, None]) + waves[:, 1:] * (
            0.35 * self.texture
        )


class _Draws:
    """Random numbers for a chunk of images, in a fixed order."""

    def __init__(self, count: int, generator: torch.Generator, side: int = SIDE) -> None:
        self.count, self.side = count, side
        self.generator = generator

    def between(self, low: float, high: float) -> torch.Tensor:
        """Uniform (N,)."""
        return low + (high - low) * torch.rand(self.count, generator=self.generator)

    def whole(self, high: int) -> torch.Tensor:
        """Uniform int64 (N,) in 0..high-1."""
        return torch.randint(0, high, (self.count,), generator=self.generator)

    def normal(self, channels: int) -> torch.Tensor:
        """Standard normal (N, channels, side, side)."""
        return torch.randn(self.count, channels, self.side, self.side, generator=self.generator)


def _colour(hue: torch.Tensor, saturation: torch.Tensor, luma: torch.Tensor) -> torch.Tensor:
    """RGB (N, 3) of the given hue and exactly the given luma.

    The full-value colour of that hue and saturation is darkened towards black, or lightened
    towards white, until its luma fits; both keep the hue and stay within [0, 1].
    """
    sector = torch.stack([(hue * 6 + shift) % 6 for shift in (5, 3, 1)], 1)
    pure = 1 - saturation[:, None] * torch.minimum(sector, 4 - sector).clamp(0, 1)
    own = (pure * torch.tensor(LUMA)).sum(1)
    darker = pure * (luma / own)[:, None]
    white = ((luma - own) / (1 - own)).clamp(min=0)[:, None]
    return torch.where((luma <= own)[:, None], darker, torch.lerp(pure, torch.ones(()), white))


def _texture(draw: _Draws) -> torch.Tensor:
    """Noise with amplitude 1/f^1.2, (N, 4, side, side), zero mean and unit deviation per channel."""
    vertical = torch.fft.fftfreq(draw.side)[:, None]
    horizontal = torch.fft.rfftfreq(draw.side)[None]
    frequency = (vertical.square() + horizontal.square()).sqrt()
    frequency[0, 0] = 1
    amplitude = frequency.pow(-_SPECTRUM)
    amplitude[0, 0] = 0
    spectrum = torch.fft.rfft2(draw.normal(4)) * amplitude
    with one_thread():
        waves = torch.fft.irfft2(spectrum, s=(draw.side, draw.side))
    return waves / waves.square().mean((-1, -2), keepdim=True).sqrt()


def _fragment(templates: torch.Tensor, draw: _Draws) -> tuple[torch.Tensor, torch.Tensor]:
    """A small see-through piece of any shape: its share of each pixel and its colour; absent in a fifth."""
    shape = draw.whole(templates.shape[2] // _TEMPLATE)
    scale, angle = draw.between(0.10, 0.22), draw.between(0, 2 * math.pi)
    right, down = draw.between(-0.9, 0.9), draw.between(-0.9, 0.9)
    strength = draw.between(0.35, 0.75) * (draw.between(0, 1) < 0.8)
    share = _place(templates, shape, scale, angle, right, down, 1, draw.side) * strength[:, None, None, None]
    colour = _colour(draw.between(0, 1), draw.between(0.2, 0.9), draw.between(0.1, 0.9))
    return share, colour[:, :, None, None]


def _place(
    templates: torch.Tensor,
    shape: torch.Tensor,
    scale: torch.Tensor,
    angle: torch.Tensor,
    right: torch.Tensor,
    down: torch.Tensor,
    supersample: int,
    side: int = SIDE,
) -> torch.Tensor:
    """Draw one template an image: coverage (N, 1, side, side) in [0, 1].

    All templates lie in one tall atlas and the batch is folded into the grid's height, so
    that one ``grid_sample`` serves the chunk without copying a template for every image.

    Args:
        templates: (1, 1, classes * 64, 64), from :func:`shape_masks`.
        shape: int64 (N,), which template.
        scale: (N,), object size as a share of the image.
        angle: (N,), radians.
        right, down: (N,), the centre, in half image sides.
        supersample: pixels are averages of this many samples each way.
        side: of the image, in pixels.
    """
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    fine = side * supersample
    axis = (torch.arange(fine) + 0.5) * (2 / fine) - 1
    grid = torch.empty(len(shape), fine, fine, 2)
    across, along = _plane(axis, cosine, sine, right, down), _plane(axis, -sine, cosine, right, down)
    # Up to the centre of a template's outermost (empty) texel, never into its neighbour in the atlas.
    edge = 1 - 1 / _TEMPLATE
    torch.clamp(across, -edge, edge, out=grid[..., 0])
    kinds = templates.shape[2] // _TEMPLATE
    grid[..., 1] = along.clamp_(-edge, edge).add_((1 + 2 * shape - kinds)[:, None, None]).div_(kinds)
    drawn = F.grid_sample(templates, grid.view(1, -1, fine, 2), mode="bilinear", align_corners=False)
    drawn = drawn.view(len(shape), 1, fine, fine)
    offsets = [(i, j) for i in range(supersample) for j in range(supersample)]
    samples = (drawn[..., i::supersample, j::supersample] for i, j in offsets)
    return sum(samples, drawn.new_zeros(())) / len(offsets)


def _plane(
    axis: torch.Tensor, across: torch.Tensor, along: torch.Tensor, right: torch.Tensor, down: torch.Tensor
) -> torch.Tensor:
    """``across * (x - right) + along * (y - down)`` at every point of a grid, (N, side, side)."""
    start = along[:, None] * (axis - down[:, None])
    return start[:, :, None] + (across[:, None] * (axis - right[:, None]))[:, None, :]


def shape_masks() -> torch.Tensor:
    """Soft masks of the ten shapes, one below the other: float32 (1, 1, 640, 64) in [0, 1]."""
    axis = (torch.arange(2 * _TEMPLATE) + 0.5) / _TEMPLATE - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = (x.square() + y.square()).sqrt()
    u, v = 1.3 * x, 1.3 * (0.08 - y)
    arrow = [(0, -0.94), (0.72, -0.12), (0.28, -0.12), (0.28, 0.92), (-0.28, 0.92), (-0.28, -0.12), (-0.72, -0.12)]
    star = [(r * _c(t), r * _s(t)) for t, r in zip(range(-90, 270, 36), [0.96, 0.40] * 5, strict=True)]
    hourglass = [(-0.72, -0.88), (0.72, -0.88), (0.10, 0), (0.72, 0.88), (-0.72, 0.88), (-0.10, 0)]
    masks = {
        "disc": radius < 0.80,
        "ring": (radius < 0.88) & (radius > 0.50),
        "square": (x.abs() < 0.72) & (y.abs() < 0.72),
        "triangle": _polygon(x, y, [(_c(t), _s(t) + 0.2) for t in (-90, 30, 150)]),
        "star": _polygon(x, y, star),
        "cross": ((x.abs() < 0.28) & (y.abs() < 0.9)) | ((y.abs() < 0.28) & (x.abs() < 0.9)),
        "crescent": (radius < 0.88) & (((x - 0.42).square() + y.square()).sqrt() > 0.68),
        "heart": (u.square() + v.square() - 1).pow(3) < u.square() * v.pow(3),
        "arrow": _polygon(x, y, arrow),
        "hourglass": _polygon(x, y, hourglass),
    }
    atlas = torch.cat([masks[name] for name in CLASS_NAMES]).float()
    return F.avg_pool2d(atlas[None, None], 2)


def _c(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def _s(degrees: float) -> float:
    return math.sin(math.radians(degrees))


def _polygon(x: torch.Tensor, y: torch.Tensor, corners: list[tuple[float, float]]) -> torch.Tensor:
    """Which points lie inside a polygon: a ray to the right crosses its border an odd number of times."""
    inside = torch.zeros_like(x, dtype=torch.bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        if y0 != y1:
            level = (y >= min(y0, y1)) & (y < max(y0, y1))
            inside ^= level & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside
