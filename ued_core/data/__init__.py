"""Data sets: where clean images come from, and the file in which image sets travel.

``DATASETS`` lists them, :func:`method_at` says which one lies at a path; :func:`load_split` loads one through the disk
cache; :func:`import_zip` turns an uploaded archive into a folder for :class:`Folder`;
:func:`read_npz` and :func:`write_npz` exchange image sets with other programs.
"""

from ued_core.catalogue import Catalogue
from ued_core.data.at_path import method_at
from ued_core.data.base import Dataset
from ued_core.data.cache import load_split
from ued_core.data.digits import Digits
from ued_core.data.fashion import Fashion
from ued_core.data.fashion_mnist import FashionMnist
from ued_core.data.file_set import FileSet
from ued_core.data.folder import Folder
from ued_core.data.idx_set import Idx
from ued_core.data.imagenet import ImageNet
from ued_core.data.npz import read_npz, read_npz_json, write_npz
from ued_core.data.npz_set import Npz, read_recipe
from ued_core.data.parquet_set import Parquet
from ued_core.data.photo_sets import PHOTO_SETS
from ued_core.data.provenance import origin_json, provenance, without_paths
from ued_core.data.shapes import Shapes
from ued_core.data.torchvision_sets import Cifar10, Cifar100, Stl10, Svhn
from ued_core.data.zip_import import import_zip

PUBLISHED = (FashionMnist, Cifar10, Cifar100, Svhn, Stl10, *PHOTO_SETS, ImageNet)
"""Sets that somebody has published; the program has to be given their files, or fetches them."""

DATASETS: Catalogue[Dataset] = Catalogue(
    "data set",
    [Fashion, Shapes, Digits, *PUBLISHED, Folder, Npz, Idx, Parquet],
    group="ued_core.datasets",
    base=Dataset,
)

__all__ = [
    "DATASETS",
    "Dataset",
    "FileSet",
    "Folder",
    "Npz",
    "import_zip",
    "load_split",
    "method_at",
    "origin_json",
    "provenance",
    "read_npz",
    "read_npz_json",
    "read_recipe",
    "without_paths",
    "write_npz",
]
