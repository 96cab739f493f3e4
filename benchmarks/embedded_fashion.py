"""Choose the part of Fashion-MNIST that ships in ``assets/fashion``: python -m benchmarks.embedded_fashion FOLDER

FOLDER holds the four official IDX files, as torchvision or the Debian package ``dataset-fashion-mnist`` lays them down.
Their contents are checked. The part is drawn with seed 0, the same number of every class,
and written in the same format, so that the full set's reader reads it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np

from ued_core.context import Context
from ued_core.data.base import stratified_split
from ued_core.data.fashion import FILES, TEST, TRAIN
from ued_core.data.idx_set import read_idx
from ued_core.files import write_json

UNPACKED = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
"""SHA-256 of the official files, unpacked: packed copies differ by what their heads say."""


def main() -> None:
    """Check, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    for name, known in UNPACKED.items():
        found = hashlib.sha256(gzip.decompress((folder / f"{name}.gz").read_bytes())).hexdigest()
        if found != known:
            raise SystemExit(f"{folder / name}.gz has the SHA-256 sum {found} unpacked, but it must be {known}.")
    FILES.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        images = read_idx(folder / f"{part}-images-idx3-ubyte.gz", 3)
        labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz", 1)
        rows = stratified_split(labels, count, Context(seed=0).generator("fashion", part, device="cpu"))[1]
        write_idx(FILES / f"{part}-images-idx3-ubyte.gz", images[rows])
        write_idx(FILES / f"{part}-labels-idx1-ubyte.gz", labels[rows])
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(FILES.glob("*.gz"))}
    card = {
        "command": "python -m benchmarks.embedded_fashion FOLDER",
        "drawn": "seed 0, the same number of every class, in the order of the official files",
        "licence": "MIT, see LICENSE",
        "sha256_of_the_whole": UNPACKED,
        "sha256": files,
        "source": "https://github.com/zalandoresearch/fashion-mnist",
    }
    write_json(FILES / "card.json", card)
    print(files)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write uint8 values as a packed IDX file; equal arrays give equal bytes.

    Args:
        path: the file.
        array: uint8 of any shape.
    """
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), compresslevel=9, mtime=0))


if __name__ == "__main__":
    main()
