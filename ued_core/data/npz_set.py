"""A data set in an npz file: what ``poison`` and ``defend`` write, and the usual arrays of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.base import NOT_CLEAN, Upload
from ued_core.data.file_set import FileSet, origin_test
from ued_core.data.npz import array_head, array_names, read_array, read_npz, read_npz_json
from ued_core.data.parts import Part, Parts, as_labels
from ued_core.data.provenance import Provenance, provenance, without_paths
from ued_core.data.report import Report
from ued_core.errors import DataError, UedError
from ued_core.params import param
from ued_core.records import to_bytes

IMAGES = ("images", "data", "x", "X", "x_train", "X_train", "train_images", "train_data")
LABELS = ("labels", "targets", "y", "Y", "y_train", "Y_train", "train_labels", "train_targets", "label", "target")
TEST_IMAGES = ("test_images", "x_test", "X_test", "test_data")
TEST_LABELS = ("test_labels", "y_test", "Y_test", "test_targets")
_RULE = (
    f"Images are called {', '.join(IMAGES)}, and labels {', '.join(LABELS)}; a test part {', '.join(TEST_IMAGES)} and "
    f"{', '.join(TEST_LABELS)}."
)


class Npz(FileSet):
    """An npz file: what poison and defend write, or arrays of other programs.

    Images are uint8, or floats from 0 to 1, with one or three channels, first or last. Where the file says that its
    images are poisoned or defended, a test part split from them would be so too, and accuracy on it is no clean
    accuracy. Then the clean test part of the data set that the file names is taken, or that of ``test_path``; without
    either the file is refused.

    Source:
        numpy's savez; keys as in Keras (x_train, y_train), MedMNIST (train_images) and AVATAR (data, targets).
    """

    key: ClassVar[str] = "npz"
    title: ClassVar[str] = "npz file"
    upload: ClassVar[Upload | None] = Upload("An npz file", ("npz",))
    advice: ClassVar[str] = "numpy.savez writes such a file, with images and labels."

    split_poisoned: bool = param(
        False,
        "Test on a share of poisoned or defended images where there are no clean ones. The accuracy is then no clean "
        "accuracy.",
    )

    @property
    def mirror_safe(self) -> bool:  # type: ignore[override]  # as in FileSet
        """As ``mirror`` says; ``auto`` asks the data set that the file names."""
        if self.mirror == "auto":
            try:
                found = _origin(self.file())
            except UedError:
                found = None
            dataset = found.origin() if found else None
            return self.mirrors if dataset is None else dataset.mirror_safe
        return super().mirror_safe

    def file(self) -> Path:
        """Where the file lies.

        Raises:
            DataError: no path is given, or it names a folder without exactly one npz file.
        """
        return self._file(self._source())

    @classmethod
    def _file(cls, source: Path) -> Path:
        if not source.is_dir():
            return source
        inside = sorted(source.glob("*.npz"))
        if len(inside) != 1:
            raise DataError(f"The folder {str(source)!r} holds {len(inside)} npz files.", "Give the path of one.")
        return inside[0]

    @classmethod
    def files(cls, source: Path) -> list[Path]:
        """The one file."""
        return [cls._file(source)]

    @classmethod
    def read(cls, source: Path, size: int, ctx: Context) -> Parts:
        """Both parts."""
        path, report = cls._file(source), Report()
        ctx.report(0, 1, f"Reading {path.name}")
        names = array_names(path)
        train = _part(path, _one(path, names, IMAGES), _one(path, names, LABELS), report)
        test = None
        if any(name in names for name in TEST_IMAGES):
            test = _part(path, _one(path, names, TEST_IMAGES), _one(path, names, TEST_LABELS), report)
        unread = sorted(set(names) & {"val_images", "x_val", "X_val", "val_data"})
        if unread:
            report.skip(unread[0], "neither the training nor the test part")
        report.poison = _words(train.origin)
        ctx.report(1, 1, f"Reading {path.name}")
        return Parts(train, test, report)

    def origin_for(self, part: str) -> dict[str, Any]:
        """The recipe of the file itself, if it has one that says where its images come from."""
        recipe = read_recipe(self.file())
        return {} if provenance(recipe) is None else {"given": without_paths(recipe)}

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        """The parameters, the state of the files, and the data set whose test part may be taken."""
        found = _origin(self.file())
        dataset = found.origin() if found else None
        return {**super().identity(ctx), **({"origin": dataset.identity(ctx)} if dataset else {})}

    def _own_test(self, parts: Parts, notes: list[str], ctx: Context) -> Part | None:
        origin, name = parts.train.origin, self.file().name
        test = super()._own_test(parts, notes, ctx)
        changes = _words(origin)
        if changes:
            notes.append(
                f"The images of {name} were changed by {changes} already; an attack or a defence of the run "
                "comes on top."
            )
        if test is not None:
            self._judge(test, origin, notes)
            return test
        if origin is None:
            notes.append(
                f"The test part was split from {name}. Should its images be poisoned, then so are these, and accuracy "
                "on them is no clean accuracy; give clean ones as test_path."
            )
            return None
        dataset = origin.origin()
        clean, why = origin_test(origin, ctx)
        if dataset is not None and clean is not None:
            notes.append(f"Tested on the clean test part of {dataset.title}, from whose training part {name} was made.")
            return Part(clean.images, clean.labels, clean.class_names)
        if not changes:
            return None
        if not self.split_poisoned:
            raise DataError(
                f"The images of {name} were changed by {changes}, and a test part split from them would be no "
                f"clean one. There is none to take instead: {why}.",
                "Give clean test images as test_path (the command 'data' writes a part of a data set as npz), "
                "or set split_poisoned to test on changed images all the same.",
            )
        notes.append(
            f"{NOT_CLEAN}: the test images are changed by {changes} like the training images: test accuracy is no "
            "clean accuracy."
        )
        return None

    def _judge(self, test: Part, origin: Provenance | None, notes: list[str]) -> None:
        """Refuse test images that are no test, or say so.

        Raises:
            DataError: they are the clean originals of the training images, or changed themselves.
        """
        if (
            origin is not None
            and test.origin is not None
            and not test.origin.changes
            and origin.clean_hash == test.origin.clean_hash
        ):
            raise DataError(
                "The test images are the clean originals of the training images.",
                "Give the test part of that data set (--part test).",
            )
        changes = _words(test.origin)
        if changes and not self.split_poisoned:
            raise DataError(
                f"The test images were changed by {changes}, so accuracy on them is no clean accuracy.",
                "Give clean ones, or set split_poisoned to test on these all the same.",
            )
        if changes:
            notes.append(
                f"{NOT_CLEAN}: the test images are changed by {changes}, so test accuracy is no clean accuracy."
            )


def _words(origin: Provenance | None) -> str:
    return " and ".join(origin.changes) if origin else ""


def _origin(path: Path) -> Provenance | None:
    return provenance(read_recipe(path))


def read_recipe(path: Path) -> Any:
    """The JSON that came with an npz file of this program; None for other files.

    Raises:
        DataError: there is no such file, or it is no npz.
    """
    if "recipe" not in array_names(path):
        return None
    try:
        return read_npz_json(path)
    except DataError:
        # Other programs may call something else so.
        return None


def _one(path: Path, names: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    found = [name for name in wanted if name in names]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"{path.name} has {' and '.join(map(repr, found))}, and nothing says which is meant.", "Keep one of them."
        )
    there = ", ".join(names[:8]) or "nothing"
    raise DataError(
        f"{path.name} has no array that is called {' or '.join(map(repr, wanted[:3]))}; it has {there}.", _RULE
    )


def _part(path: Path, images: str, labels: str, report: Report) -> Part:
    shape, dtype = array_head(path, images)
    whole = (images, labels) == ("images", "labels") and dtype == np.uint8 and len(shape) == 4 and shape[3] == 3
    label_shape, label_dtype = array_head(path, labels)
    if whole and label_dtype == np.int64 and len(label_shape) == 1:
        # Read piece by piece, in half the memory.
        found = read_npz(path)
        _dark(found.images, images, report)
        names = found.class_names if "class_names" in array_names(path) else None
        return Part(found.images, found.labels, names, _origin(path))
    numbers, names = as_labels(read_array(path, labels), f"{labels!r} in {path.name}")
    pixels = _pixels(read_array(path, images), f"{images!r} in {path.name}", report)
    if len(pixels) != len(numbers):
        what = f"{path.name} has {len(pixels):,} images in {images!r} but {len(numbers):,} labels in {labels!r}."
        raise DataError(what, "Give one label per image.")
    if len(pixels) == 0:
        raise DataError(f"{path.name} has no images in {images!r}.", "Give at least one.")
    if names is None and "class_names" in array_names(path):
        told = read_array(path, "class_names")
        names = tuple(map(str, told)) if told.dtype.kind == "U" and told.ndim == 1 else None
    _dark(pixels, images, report)
    return Part(pixels, numbers, names, _origin(path))


def _dark(pixels: torch.Tensor, name: str, report: Report) -> None:
    if len(pixels) and (most := int(pixels.max())) <= 1:
        report.say(
            f"The largest value of {name!r} is {most} of 255, so all images are black to the eye. Should 1 mean "
            "white, store 255."
        )


def _pixels(values: np.ndarray, name: str, report: Report) -> torch.Tensor:
    """uint8 (N, 3, H, W) of images in any of the usual forms."""
    if values.ndim == 3:
        values = values[:, :, :, None]
    last, first = values.ndim == 4 and values.shape[3] in (1, 3), values.ndim == 4 and values.shape[1] in (1, 3)
    if not (last or first) or 0 in values.shape[1:]:
        raise DataError(
            f"{name} is {values.dtype} with shape {values.shape}, which are no images.",
            "Images have the shape (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W).",
        )
    if not last:
        values = values.transpose(0, 2, 3, 1)
    pixels = _bytes(values, name, report).permute(0, 3, 1, 2)
    if pixels.shape[1] == 1:
        for _ in range(len(pixels)):
            report.convert("grey → RGB")
        pixels = pixels.expand(-1, 3, -1, -1)
    return pixels.contiguous()


def _bytes(values: np.ndarray, name: str, report: Report) -> torch.Tensor:
    if values.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(values))
    refused = DataError(
        f"{name} is {values.dtype}, and its values are neither whole numbers from 0 to 255 nor numbers from 0 to 1.",
        "Store uint8 images.",
    )
    if values.dtype.kind not in "uif" or values.size == 0:
        raise refused
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        for _ in range(len(values)):
            report.convert(f"{values.dtype} from 0 to 1 → 8 bits, rounded")
        return to_bytes(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
    # A comparison with nan is false.
    if not (low >= 0 and high <= 255) or (values.dtype.kind == "f" and not np.array_equal(values, np.floor(values))):
        raise refused
    return torch.from_numpy(np.ascontiguousarray(values, np.uint8))
