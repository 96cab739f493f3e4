"""Arrays and numbers out of whatever a file holds: tensors of any type, arrays, lists, byte strings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ued_core.data.poison_files.containers import MAX_BYTES
from ued_core.errors import DataError

RULE = (
    "Save images or noise with the axes entries, channels, height, width as a tensor (.pt), .npy, .npz or safetensors, "
    "with 'labels' or 'ids' beside them if there are any."
)
_NAMED = 6


def words_for(value: Any) -> str:
    """What a value is, for messages; nothing of its content but the names of a dict's first parts."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} with shape {value.shape}"
    if isinstance(value, torch.Tensor):
        return f"a tensor of {type_of(value)} with shape {tuple(value.shape)}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value):,}"
    if isinstance(value, dict):
        shown = ", ".join(repr(str(key)[:40]) for key in list(value)[:_NAMED])
        return f"a dict with {shown}{' …' if len(value) > _NAMED else ''}" if value else "an empty dict"
    return f"a {type(value).__name__}"


def type_of(value: Any) -> str:
    """The name of a tensor's or an array's type of numbers."""
    return str(value.dtype).removeprefix("torch.")


def as_numbers(value: Any, name: str, what: str) -> np.ndarray:
    """A plain number array of an allowed size; float8 and bfloat16 become float32.

    Raises:
        DataError: something else.
    """
    value = _of_tensor(value, name, what) if isinstance(value, torch.Tensor) else value
    if isinstance(value, np.ndarray) and value.dtype.kind == "c":
        raise _complex(name, what)
    if isinstance(value, np.ndarray) and value.dtype.kind == "b":
        raise DataError(f"{what} in {name} is a mask of true and false, neither images nor noise.", RULE)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise DataError(f"{what} in {name} is {words_for(value)}, but it must be an array of numbers.", RULE)
    return value


def _of_tensor(value: torch.Tensor, name: str, what: str) -> np.ndarray:
    if value.layout != torch.strided or value.is_quantized or value.is_meta or value.is_nested:
        raise DataError(
            f"{what} in {name} is no ordinary dense tensor.",
            "Save it as one: tensor.to_dense() or tensor.dequantize().",
        )
    if value.is_complex():
        raise _complex(name, what)
    # A tensor may repeat one number without storing it again.
    if value.numel() * max(value.element_size(), 4 if value.is_floating_point() else 1) > MAX_BYTES:
        raise DataError(f"{what} in {name} takes more than {MAX_BYTES >> 30} GiB.", "Split the file.")
    try:
        if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
            value = value.to(torch.float32)
        return value.detach().resolve_neg().numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{what} in {name} has the type {type_of(value)}, which cannot be read.", "Save it as float32 or uint8."
        ) from error


def _complex(name: str, what: str) -> DataError:
    return DataError(
        f"{what} in {name} holds complex numbers, such as a spectrum; images and noise are real.",
        "Save the real values: torch.fft.ifft2(…).real, or tensor.real.",
    )


def as_labels(value: Any, name: str, what: str) -> np.ndarray:
    """Whole numbers, int64 (N,); one-hot rows become classes.

    Raises:
        DataError: something else.
    """
    array = (
        np.array([_one(part, name, what) for part in value])
        if isinstance(value, list | tuple)
        else as_numbers(value, name, what)
    )
    if array.ndim == 2 and array.shape[1] > 1 and np.all(np.isin(array, (0, 1))) and np.all(array.sum(axis=1) == 1):
        array = array.argmax(axis=1)
    array = array.reshape(-1) if array.ndim == 2 and array.shape[1] == 1 else array
    if (
        array.ndim != 1
        or array.dtype.kind not in "iuf"
        or not np.all(np.isfinite(array))
        or np.any(array != np.floor(array))
    ):
        raise DataError(
            f"{what} in {name} is {words_for(array)}, but it must be whole numbers, one per entry, or one-hot rows.",
            "Save class numbers or indices as integers.",
        )
    if len(array) and (array.min() < 0 or array.max() >= 2**31):
        raise DataError(
            f"{what} in {name} runs from {array.min()} to {array.max()}, but it must not be negative or huge.",
            "Number from 0.",
        )
    return array.astype(np.int64)


def _one(value: Any, name: str, what: str) -> int | float:
    if isinstance(value, np.ndarray | torch.Tensor | np.generic) and _size(value) == 1 and _kind(value) in "iuf":
        return value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(
            f"An element of {what[:1].lower()}{what[1:]} in {name} is {words_for(value)}, but it must be a number.",
            RULE,
        )
    if isinstance(value, int) and abs(value) >= 2**31:
        raise DataError(
            f"{what} in {name} goes up to {value:.3g}, but it must not be negative or huge.", "Number from 0."
        )
    return value


def _size(value: Any) -> int:
    return value.numel() if isinstance(value, torch.Tensor) else value.size


def _kind(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return (
            "f"
            if value.is_floating_point()
            else "c"
            if value.is_complex()
            else "b"
            if value.dtype == torch.bool
            else "i"
        )
    return value.dtype.kind


def is_array(value: Any, *ranks: int) -> bool:
    """Whether a value is a tensor or an array with one of these numbers of axes."""
    return isinstance(value, np.ndarray | torch.Tensor) and value.ndim in ranks


def is_row_of_numbers(value: Any) -> bool:
    """Whether a value is (N,), (N, 1) or one-hot (N, classes), or a list of numbers."""
    if is_array(value, 1, 2):
        return True
    return isinstance(value, list | tuple) and bool(value) and all(_is_scalar(part) for part in value)


def _is_scalar(value: Any) -> bool:
    if isinstance(value, np.ndarray | torch.Tensor | np.generic):
        return _size(value) == 1 and value.ndim <= 1
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_image(value: Any) -> bool:
    """Whether a value can be one image or one map: RGB bytes, or an array of two or three axes."""
    return isinstance(value, bytes | bytearray) or is_array(value, 2, 3)


def stacked(images: Sequence[Any], name: str) -> tuple[np.ndarray, str, tuple[str, ...]]:
    """One array of many images of one size, the type in which they are stored, and notes.

    Args:
        images: RGB bytes of a square each, arrays (C, H, W), pictures (H, W, C), or grey ones (H, W).
        name: of the file.

    Raises:
        DataError: they differ in size or type, or they are too many.
    """
    first = images[0]
    if isinstance(first, bytes | bytearray):
        return _of_bytes(images, name)
    if any(not isinstance(i, type(first)) or i.shape != first.shape or i.dtype != first.dtype for i in images):
        raise DataError(f"The images in {name} are not arrays of one shape and type.", "All must have one size.")
    refuse_large(len(images) * (first.numel() * 4 if isinstance(first, torch.Tensor) else first.nbytes), name)
    array = np.stack([as_numbers(image, name, "An image") for image in images])
    return array if array.ndim == 4 else array[:, None], type_of(first), ()


def _of_bytes(images: Sequence[Any], name: str) -> tuple[np.ndarray, str, tuple[str, ...]]:
    first = images[0]
    side = round((len(first) / 3) ** 0.5)
    if 3 * side * side != len(first):
        raise DataError(f"The first image in {name} has {len(first):,} bytes, which is no square of RGB.", RULE)
    if any(not isinstance(image, bytes | bytearray) or len(image) != len(first) for image in images):
        raise DataError(f"The images in {name} differ in size or kind.", "All must have one size.")
    refuse_large(len(images) * len(first), name)
    array = np.frombuffer(b"".join(images), np.uint8).reshape(-1, side, side, 3)
    return array, "uint8", ("Images are stored as RGB bytes.",)


def refuse_large(size: int, name: str) -> None:
    """Refuse what takes more memory than one file may.

    Raises:
        DataError: more than ``MAX_BYTES``.
    """
    if size > MAX_BYTES:
        raise DataError(
            f"The images in {name} take {size / 2**30:,.1f} GiB; at most {MAX_BYTES >> 30} GiB are read.",
            "Split the file.",
        )
