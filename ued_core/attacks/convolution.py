"""Convolution-based attacks: one small filter a class."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F

from ued_core.attacks.base import Attack
from ued_core.compiled import compiled, has_compiler, in_threads
from ued_core.context import Context
from ued_core.errors import DataError, ParameterError
from ued_core.params import LARGEST_SEED, param
from ued_core.records import ImageSet, to_bytes, to_float

Support = Literal["full", "column", "row"]
POOL = 40
"""Candidates for every class, of which the kernels against COIN are chosen."""
EXPECTED_STRENGTH = 2.0
"""The strength of COIN, in pixels, that an attacker who knows it expects."""
CHUNK = 256
COMPILED_CHUNK = 4096


def draw_kernels(classes: int, size: int, blur: float, support: Support, seed: int) -> np.ndarray:
    """The class kernels, drawn as the official release draws them.

    Args:
        classes: number of classes.
        size: odd side length k.
        blur: upper end p_b of the uniform law of the entries.
        support: ``full`` fills k×k, ``column`` the middle column, ``row`` the middle row.
        seed: the private key, 0..2**32-1.

    Returns:
        float32 (classes, k, k); for ``full`` bit-identical to the official kernels.
    """
    state = np.random.RandomState(seed)
    height, width = {"full": (size, size), "column": (size, 1), "row": (1, size)}[support]
    kernels = np.zeros((classes, size, size))
    top, left = (size - height) // 2, (size - width) // 2
    for kernel in kernels:
        # The release draws three planes and copies the first one to the others.
        plane = state.uniform(0.0, blur, size=(3, 1, height, width))[0, 0]
        plane[state.randint(height), state.randint(width)] = 1.0
        kernel[top : top + height, left : left + width] = plane
    return kernels.astype(np.float32)


def choose_apart(candidates: np.ndarray, count: int, strength: float) -> np.ndarray:
    """Kernels that stay far apart when COIN has moved every pixel, chosen one after another.

    What survives COIN on average is the kernel, blurred by the law of the displacement: uniform in [−α, α] each way,
    interpolated linearly. Each next kernel is the candidate whose blurred version, scaled to unit length, is farthest
    from all chosen ones.

    Args:
        candidates: float (M, k, k), at least ``count`` of them.
        count: how many are wanted.
        strength: α in pixels.

    Returns:
        float (count, k, k), the first candidate first.
    """
    reach = int(np.ceil(strength)) + 1
    fine = (np.arange(2000) + 0.5) / 2000 * 2 * strength - strength
    offsets = np.arange(-reach, reach + 1)
    law = np.maximum(0, 1 - np.abs(fine[None] - offsets[:, None])).mean(1)
    blurred = np.apply_along_axis(np.convolve, 1, np.apply_along_axis(np.convolve, 2, candidates, law), law).reshape(
        len(candidates), -1
    )
    blurred /= np.linalg.norm(blurred, axis=1, keepdims=True)
    chosen = [0]
    nearest = np.full(len(candidates), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.linalg.norm(blurred - blurred[chosen[-1]], axis=1))
        chosen.append(int(nearest.argmax()))
    return candidates[chosen]


@partial(compiled, contract=True)
def _filter_bytes(
    images: np.ndarray,
    rows: np.ndarray,
    classes: np.ndarray,
    kernels: np.ndarray,
    taps: np.ndarray,
    reflect: bool,
    result: np.ndarray,
) -> None:
    """:func:`filter_images` from bytes to truncated bytes, one image at a time so that it stays in the cache.

    Args:
        images: uint8 (N, C, H, W).
        rows, classes: int64 (M,), which images, and whose kernel each one gets.
        kernels: float32 (classes, k, k).
        taps: int64 (T, 2), the positions where some kernel is not zero.
        reflect: reflect at the border instead of padding with zeros.
        result: uint8 (M, C, H, W), filled.
    """
    _, channels, height, width = images.shape
    reach = kernels.shape[1] // 2
    tall, wide = height + 2 * reach, width + 2 * reach
    # Rows of the padded planes follow each other, so one shifted multiply-add runs over all of them; what it puts
    # between the rows is never read.
    length = channels * tall * wide - (2 * reach) * (wide + 1)
    padded = np.zeros((channels, tall, wide), np.float32)
    line = padded.reshape(-1)
    total = np.empty(channels * tall * wide, np.float32)
    top = np.empty(width, np.float32)
    whole = np.float32(255)
    one = np.float32(1)
    for m in range(len(rows)):
        image = images[rows[m]]
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    padded[c, y + reach, x + reach] = np.float32(image[c, y, x]) / whole
            if reflect:
                for y in range(reach, reach + height):
                    for i in range(1, reach + 1):
                        padded[c, y, reach - i] = padded[c, y, reach + i]
                        padded[c, y, reach + width - 1 + i] = padded[c, y, reach + width - 1 - i]
                for i in range(1, reach + 1):
                    padded[c, reach - i] = padded[c, reach + i]
                    padded[c, reach + height - 1 + i] = padded[c, reach + height - 1 - i]
        total[:] = 0
        for t in range(len(taps)):
            factor = kernels[classes[m], taps[t, 0], taps[t, 1]]
            start = taps[t, 0] * wide + taps[t, 1]
            shifted = line[start : start + length]
            for p in range(length):
                total[p] += shifted[p] * factor
        planes = total.reshape(channels, tall, wide)
        top[:] = 0
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    value = planes[c, y, x]
                    top[x] = value if value > top[x] else top[x]
        peak = top.max()
        peak = peak if peak > 0 else one
        for c in range(channels):
            for y in range(height):
                for x in range(width):
                    result[m, c, y, x] = np.uint8(np.int32(planes[c, y, x] / peak * whole))


def _check_reach(k: int, size: Sequence[int], padding: str) -> None:
    if padding == "reflect" and k // 2 >= min(size):
        raise DataError(
            f"A {k}×{k} kernel cannot reflect {size[0]}×{size[1]} images.",
            "Take a smaller kernel, larger images, or zero padding.",
        )


def filter_images(images: torch.Tensor, kernels: torch.Tensor, padding: str = "zero") -> torch.Tensor:
    """Convolve every image with its own kernel, divide by its maximum, clip.

    Args:
        images: float (N, C, H, W) in [0, 1].
        kernels: float (N, k, k), k odd, the same for all channels, on the images' device.
        padding: ``zero`` as published, or ``reflect``.

    Returns:
        float (N, C, H, W) in [0, 1]. An all-black result stays black.
    """
    _check_reach(kernels.shape[-1], images.shape[-2:], padding)
    pad = (kernels.shape[-1] // 2,) * 4
    padded = F.pad(images, pad, mode="constant" if padding == "zero" else "reflect")
    height, width = images.shape[-2:]
    result = torch.zeros_like(images)
    # k² shifted multiply-adds over the batch read memory in order; a grouped convolution is five times slower on CPU.
    for row, column in np.argwhere((kernels != 0).any(0).cpu().numpy()):
        weight = kernels[:, row, column].view(-1, 1, 1, 1)
        result.addcmul_(padded[..., row : row + height, column : column + width], weight)
    peak = result.amax((1, 2, 3), keepdim=True)
    return result.div_(torch.where(peak > 0, peak, torch.ones_like(peak))).clamp_(0, 1)


class Convolution(Attack):
    """Every class gets its own random filter; a network can read the class off the blur.

    Images of a class are convolved with that class's k×k kernel (the same for the three
    channels, zero padding), divided by their own maximum and stored with 8 bits. Kernel entries
    are uniform in [0, p_b], one position is set to 1. No model and no training is needed: the
    seed is the private key.

    Source:
        CUDA, arXiv 2303.04278 (CVPR 2023), and the official release; VUDA and HUDA
        were introduced with COIN, arXiv 2311.18403 (AAAI 2025).

    Differs:
        Same seed, same kernels as the official release for the full support. VUDA (k×1) and HUDA
        (1×k) are our reading of reviews of the COIN paper: the exact kernels could not be checked.
        Which images are poisoned when the poison rate is below one is drawn from our own stream.
        Reflection padding, one kernel for all classes or per image and kernels chosen against COIN are our controls;
        matrices and Θ describe zero padding, also when reflection is chosen here.
    """

    title: ClassVar[str] = "Convolution attack"

    blur: float = param(
        0.3, "Upper end of the uniform law of the kernel entries: larger values blur more.",
        label="blur p_b", ge=0.01, le=1.0, step=0.01,
    )  # fmt: skip
    kernel_size: int = param(
        3,
        "Side length k of the kernel; odd. The paper uses 3 for 32×32.",
        label="kernel size k",
        unit="px",
        ge=3,
        le=15,
        step=2,
    )
    support: Support = param(
        "full",
        "Which entries may differ from zero: all (CUDA), the middle column (VUDA) or the middle row (HUDA).",
        label="kernel support",
    )
    padding: Literal["zero", "reflect"] = param(
        "zero", "What lies beyond the border; the published attack takes zeros, which darken the frame."
    )
    assignment: Literal["class", "common", "image"] = param(
        "class",
        "Each class its own kernel; or two controls that blur without telling the class: the first kernel for all, "
        "or a kernel of its own for each image.",
        label="kernel assignment",
    )
    selection: Literal["drawn", "against COIN"] = param(
        "drawn",
        "Kernels as they are drawn, or chosen from forty times as many so that the classes stay apart when COIN has "
        "blurred them: an attacker who knows the defence.",
        label="kernel choice",
        later=True,
    )

    def model_post_init(self, _context: object) -> None:
        if self.kernel_size % 2 == 0:
            raise ParameterError(
                f"{self.title}: kernel_size is {self.kernel_size}, but it must be odd so that the kernel has a middle.",
                f"Take {self.kernel_size - 1} or {self.kernel_size + 1}.",
            )
        if self.assignment == "image" and self.selection != "drawn":
            raise ParameterError(
                f"{self.title}: selection is {self.selection!r}, but kernels are chosen to keep classes apart, and "
                "with assignment 'image' no class has one.",
                "Take selection 'drawn', or a kernel per class.",
            )

    def kernels(self, classes: int, seed: int) -> np.ndarray | None:
        """The kernel of every class, float32 (classes, k, k); None where no class has one because each image has."""
        return None if self.assignment == "image" else self._kernels(classes, seed)

    def _kernels(self, owners: int, seed: int) -> np.ndarray:
        """The kernel of every class, or of every image: float32 (owners, k, k)."""
        if not 0 <= seed <= LARGEST_SEED:
            raise ParameterError(
                f"The seed is {seed!r}, but the private key must be a whole number from 0 to {LARGEST_SEED}."
            )
        count = owners if self.selection == "drawn" else POOL * owners
        drawn = draw_kernels(count, self.kernel_size, self.blur, self.support, seed)
        if self.selection != "drawn":
            drawn = choose_apart(drawn, owners, EXPECTED_STRENGTH)
        return np.repeat(drawn[:1], owners, axis=0) if self.assignment == "common" else drawn

    def perturb(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        each = self.assignment == "image"
        kernels = torch.from_numpy(self._kernels(len(data) if each else data.classes, ctx.seed)).to(ctx.device)
        return self._filter(data.images, rows, rows if each else data.labels[rows], kernels, ctx)

    def as_class(
        self, images: torch.Tensor, classes: torch.Tensor, total: int, seed: int, train: ImageSet | None = None
    ) -> torch.Tensor | None:
        if self.assignment == "image":
            return None
        kernels = torch.from_numpy(self._kernels(total, seed))
        return self._filter(images, torch.arange(len(images)), classes, kernels, Context())

    def _filter(
        self, images: torch.Tensor, rows: torch.Tensor, classes: torch.Tensor, kernels: torch.Tensor, ctx: Context
    ) -> torch.Tensor:
        result = torch.empty((len(rows), *images.shape[1:]), dtype=torch.uint8)
        fast = ctx.device.type == "cpu" and has_compiler()
        fill = self._fill_compiled if fast else self._fill_tensors
        step = COMPILED_CHUNK if fast else CHUNK
        _check_reach(self.kernel_size, images.shape[-2:], self.padding)
        for start in range(0, len(rows), step):
            stop = min(start + step, len(rows))
            fill(images, rows[start:stop], classes[start:stop], kernels, result[start:stop])
            ctx.report(stop, len(rows), "convolving images")
        return result

    def _fill_compiled(
        self, images: torch.Tensor, rows: torch.Tensor, classes: torch.Tensor, kernels: torch.Tensor, out: torch.Tensor
    ) -> None:
        weights, target = kernels.numpy(), out.numpy()
        taps = np.argwhere((weights != 0).any(0))
        source, which, owners = images.numpy(), rows.numpy(), classes.numpy()

        def part(start: int, stop: int) -> None:
            own = slice(start, stop)
            _filter_bytes(source, which[own], owners[own], weights, taps, self.padding == "reflect", target[own])

        in_threads(part, len(which))

    def _fill_tensors(
        self, images: torch.Tensor, rows: torch.Tensor, classes: torch.Tensor, kernels: torch.Tensor, out: torch.Tensor
    ) -> None:
        owned = kernels[classes.to(kernels.device)]
        filtered = filter_images(to_float(images[rows].to(kernels.device)), owned, self.padding)
        out[:] = to_bytes(filtered, "truncate").cpu()


class Cuda(Convolution):
    __doc__ = Convolution.__doc__
    key: ClassVar[str] = "cuda"
    title: ClassVar[str] = "CUDA"


class Vuda(Convolution):
    __doc__ = (Convolution.__doc__ or "").replace("its own random filter", "its own random vertical stripe filter")
    key: ClassVar[str] = "vuda"
    title: ClassVar[str] = "VUDA"

    support: Support = param(
        "column", "Which entries may differ from zero: the middle column makes VUDA.", label="kernel support"
    )


class Huda(Convolution):
    __doc__ = (Convolution.__doc__ or "").replace("its own random filter", "its own random horizontal stripe filter")
    key: ClassVar[str] = "huda"
    title: ClassVar[str] = "HUDA"

    support: Support = param(
        "row", "Which entries may differ from zero: the middle row makes HUDA.", label="kernel support"
    )
