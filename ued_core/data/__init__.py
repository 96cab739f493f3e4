"""Data sets: where clean images come from, and the file in which image sets travel.

``DATASETS`` lists them; :func:`load_split` loads one through the disk cache;
:func:`import_zip` turns an uploaded archive into a folder for :class:`Folder`;
:func:`read_npz` and :func:`write_npz` exchange image sets with other programs.
"""

from ued_core.data.base import Dataset
from ued_core.data.cache import load_split
from ued_core.data.digits import Digits
from ued_core.data.folder import Folder
from ued_core.data.npz import read_npz, read_npz_json, write_npz
from ued_core.data.shapes import Shapes
from ued_core.data.torchvision_sets import Cifar10, Cifar100, Svhn
from ued_core.data.zip_import import import_zip
from ued_core.params import Catalogue

DATASETS: Catalogue[Dataset] = Catalogue("data set", [Shapes, Digits, Cifar10, Cifar100, Svhn, Folder])

__all__ = [
    "DATASETS",
    "Dataset",
    "Folder",
    "import_zip",
    "load_split",
    "read_npz",
    "read_npz_json",
    "write_npz",
]
