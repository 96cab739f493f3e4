"""Published sets of photographs, each with its own lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ued_core.context import Context
from ued_core.data.base import stratified_split
from ued_core.data.photo_set import Archive, FetchedPhotos, ListedPhotos, Lists, pairs
from ued_core.data.published import Publication, data_folder
from ued_core.errors import DataError
from ued_core.params import param

_OFFICIAL = "the official division"
_NONE_KNOWN = "none is known here, see the publisher; the photographs come from the web and belong to their owners."
_VGG = "https://www.robots.ox.ac.uk/~vgg/data"


class Pets(FetchedPhotos):
    """7,349 photographs of 37 breeds of cats and dogs: Oxford-IIIT Pets.

    Source:
        O. M. Parkhi, A. Vedaldi, A. Zisserman, C. V. Jawahar: Cats and Dogs, CVPR (2012).
    """

    key: ClassVar[str] = "pets"
    title: ClassVar[str] = "Oxford-IIIT Pets"
    publication: ClassVar[Publication] = Publication(
        3680,
        3669,
        37,
        f"{_OFFICIAL}, trainval and test",
        "CC BY-SA 4.0; the copyright of the photographs remains with their owners.",
        f"{_VGG}/pets/",
    )
    places: ClassVar[tuple[str, ...]] = ("oxford-iiit-pet/images", "oxford-iiit-pet/annotations")

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """Images, and the lists with the annotations."""
        from torchvision.datasets import OxfordIIITPet

        inside = ("images", "annotations")
        found = zip(OxfordIIITPet._RESOURCES, inside, cls.places, strict=True)
        return tuple(Archive(url, md5, folder, place) for (url, md5), folder, place in found)

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import OxfordIIITPet

        return OxfordIIITPet(str(root), split="trainval" if part == "train" else "test")


class Cars(ListedPhotos):
    """16,185 photographs of 196 models of cars: Stanford Cars.

    Source:
        J. Krause, M. Stark, J. Deng, L. Fei-Fei: 3D Object Representations for Fine-Grained Categorization, ICCV
        workshop (2013).
    """

    key: ClassVar[str] = "cars"
    title: ClassVar[str] = "Stanford Cars"
    publication: ClassVar[Publication] = Publication(
        8144, 8041, 196, _OFFICIAL, _NONE_KNOWN, "https://ai.stanford.edu/~jkrause/cars/car_dataset.html"
    )
    places: ClassVar[tuple[str, ...]] = (
        "stanford_cars/cars_train",
        "stanford_cars/cars_test",
        "stanford_cars/devkit/cars_train_annos.mat",
        "stanford_cars/devkit/cars_meta.mat",
        "stanford_cars/cars_test_annos_withlabels.mat",
    )
    by_hand: ClassVar[str] = "The publisher's page has gone, so nothing can be fetched: take the files from a copy."

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import StanfordCars

        return StanfordCars(str(root), split=part)


class WithValidation(FetchedPhotos):
    """Photographs whose official division has a third part, for validation.

    Attributes:
        validation_images: how many these are.
    """

    validation_images: ClassVar[int]

    validation: bool = param(False, "Train on the official validation part too, which is left out otherwise.")

    def _listed(self, root: Path) -> Lists:
        lists = super()._listed(root)
        if not self.validation:
            return lists
        return lists._replace(train=[*lists.train, *pairs(self._reader(root, "val"))])

    def _official(self) -> tuple[int, int]:
        train, test = super()._official()
        return train + self.validation * self.validation_images, test


class Flowers(WithValidation):
    """8,189 photographs of 102 kinds of flowers: Oxford Flowers-102.

    Source:
        M.-E. Nilsback, A. Zisserman: Automated Flower Classification over a Large Number of Classes, ICVGIP (2008).
    """

    key: ClassVar[str] = "flowers"
    title: ClassVar[str] = "Flowers-102"
    publication: ClassVar[Publication] = Publication(
        1020, 6149, 102, f"{_OFFICIAL}, with 1,020 more for validation", _NONE_KNOWN, f"{_VGG}/flowers/102/"
    )
    places: ClassVar[tuple[str, ...]] = ("flowers-102/jpg", "flowers-102/imagelabels.mat", "flowers-102/setid.mat")
    validation_images: ClassVar[int] = 1020

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """Images, labels and division."""
        from torchvision.datasets import Flowers102

        files = (Flowers102._file_dict[what] for what in ("image", "label", "setid"))
        return tuple(
            Archive(f"{Flowers102._download_url_prefix}{name}", md5, inside, place)
            for (name, md5), inside, place in zip(files, ("jpg", "", ""), cls.places, strict=True)
        )

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import Flowers102

        return Flowers102(str(root), split=part)


class Food(FetchedPhotos):
    """101,000 photographs of 101 dishes: Food-101; the training labels are noisy on purpose.

    Source:
        L. Bossard, M. Guillaumin, L. Van Gool: Food-101, Mining Discriminative Components with Random Forests, ECCV
        (2014).
    """

    key: ClassVar[str] = "food"
    title: ClassVar[str] = "Food-101"
    publication: ClassVar[Publication] = Publication(
        75_750,
        25_250,
        101,
        _OFFICIAL,
        "the photographs come from Foodspotting and belong to their owners; any use beyond scientific fair use must be "
        "agreed with them.",
        "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/",
    )
    places: ClassVar[tuple[str, ...]] = ("food-101",)

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """Images and lists together."""
        from torchvision.datasets import Food101

        return (Archive(Food101._URL, Food101._MD5, "food-101", "food-101"),)

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import Food101

        return Food101(str(root), split=part)


class Sun397(FetchedPhotos):
    """Photographs of 397 kinds of scenes: SUN397, in one of its ten official divisions.

    Each official division takes 50 images per class to train on and 50 others to test on, of the 108,754 that were
    published.

    Source:
        J. Xiao, J. Hays, K. A. Ehinger, A. Oliva, A. Torralba: SUN Database, Large-Scale Scene Recognition from Abbey
        to Zoo, CVPR (2010).
    """

    key: ClassVar[str] = "sun397"
    title: ClassVar[str] = "SUN397"
    publication: ClassVar[Publication] = Publication(
        19_850,
        19_850,
        397,
        "one of ten official divisions",
        _NONE_KNOWN,
        "https://vision.princeton.edu/projects/2010/SUN/",
    )
    places: ClassVar[tuple[str, ...]] = ("SUN397",)
    by_hand: ClassVar[str] = (
        "torchvision knows no division: unpack the publisher's Partitions.zip first, so that the lists "
        "Partitions/Training_01.txt and Partitions/Testing_01.txt lie there, or put them into SUN397."
    )

    partition: int = param(1, "Which of the ten official divisions.", ge=1, le=10)

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """The images and the names of the classes."""
        from torchvision.datasets import SUN397

        return (Archive(SUN397._DATASET_URL, SUN397._DATASET_MD5, "SUN397", "SUN397"),)

    def _needed(self) -> tuple[str, ...]:
        return (*self.places, "SUN397/ClassName.txt", *self._divisions())

    def _divisions(self) -> tuple[str, ...]:
        """The lists of the training and the test part, where they are or belong."""
        root, names = data_folder(), [f"{word}_{self.partition:02}.txt" for word in ("Training", "Testing")]
        places = ("SUN397", "SUN397/Partitions", "Partitions")
        place = next((place for place in places if (root / place / names[0]).exists()), "Partitions")
        return tuple(f"{place}/{name}" for name in names)

    def _obtain(self, root: Path, ctx: Context) -> None:
        # Tens of gigabytes are not fetched before it is known which images belong to which part.
        if not all((root / place).exists() for place in self._divisions()):
            raise self._missing(root)
        super()._obtain(root, ctx)

    def _reader(self, root: Path, part: str) -> Any:
        raise NotImplementedError("torchvision's reader knows no division")

    def _listed(self, root: Path) -> Lists:
        folder = root / "SUN397"
        classes = [line.strip() for line in (folder / "ClassName.txt").read_text("utf-8").splitlines() if line.strip()]
        number = {name: index for index, name in enumerate(classes)}
        parts = []
        for file in self._divisions():
            lines = [line.strip() for line in (root / file).read_text("utf-8").splitlines()]
            found = [(line, line.rpartition("/")[0]) for line in lines if line]
            if odd := [line for line, name in found if name not in number]:
                raise DataError(
                    f"{file} in {root} lists {odd[0][:200]!r}, whose class is not in ClassName.txt.",
                    f"Replace both. {self._advice(root)}",
                )
            parts.append([(f"{folder}{line}", number[name]) for line, name in found])
        train, test = parts
        # "/a/abbey" is the abbey.
        return Lists(root, tuple(name[3:] for name in classes), train, test)


class EuroSat(FetchedPhotos):
    """27,000 satellite photographs of ten kinds of land use: EuroSAT, in colour.

    It has no official division: every class gives its share to the test part, drawn by the seed.

    Source:
        P. Helber, B. Bischke, A. Dengel, D. Borth: EuroSAT, a Novel Dataset and Deep Learning Benchmark for Land Use
        and Land Cover Classification (2019), arXiv 1709.00029.
    """

    key: ClassVar[str] = "eurosat"
    title: ClassVar[str] = "EuroSAT"
    publication: ClassVar[Publication] = Publication(
        21_600,
        5400,
        10,
        "no official division, the seed draws it",
        "MIT; the satellite data are free and open under the terms of Copernicus.",
        "https://github.com/phelber/EuroSAT",
    )
    places: ClassVar[tuple[str, ...]] = ("eurosat/2750",)

    test_rate: float = param(0.2, "Share of every class that is kept for testing.", ge=0.05, le=0.5, step=0.05)

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """The images, from where torchvision fetches them."""
        url = "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/"
        return (Archive(f"{url}EuroSAT.zip", "c8fa014336c82ac7804f0398fcb19387", "2750", cls.places[0]),)

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import EuroSAT

        return EuroSAT(str(root))

    def _listed(self, root: Path) -> Lists:
        reader = self._reader(root, "")
        found = pairs(reader)
        wanted = max(1, round(self.test_rate * len(found)))
        generator = Context(seed=self.seed).generator(self.key, "split", device="cpu")
        train, test = stratified_split(np.array([label for _, label in found]), wanted, generator)
        note = f"{self.title} has no official division: {100 * self.test_rate:.0f} % of every class are tested on."
        return Lists(root, tuple(reader.classes), [found[row] for row in train], [found[row] for row in test], (note,))

    def _official(self) -> tuple[int, int]:
        whole = self.publication.train + self.publication.test
        test = round(self.test_rate * whole)
        return whole - test, test


class Gtsrb(FetchedPhotos):
    """39,270 photographs of 43 German traffic signs: GTSRB.

    The training images are successive views of the same signs, the test images are single views of others. The frame
    around each sign is kept.

    Source:
        J. Stallkamp, M. Schlipsing, J. Salmen, C. Igel: The German Traffic Sign Recognition Benchmark, IJCNN (2011).
    """

    key: ClassVar[str] = "gtsrb"
    title: ClassVar[str] = "GTSRB"
    mirror_safe: ClassVar[bool] = False
    formats: ClassVar[tuple[str, ...]] = ("PPM",)
    publication: ClassVar[Publication] = Publication(
        26_640,
        12_630,
        43,
        "the official division, with the training part that torchvision fetches",
        "none is known here, see the publisher, who asks for a citation.",
        "https://benchmark.ini.rub.de/",
    )
    places: ClassVar[tuple[str, ...]] = (
        "gtsrb/GTSRB/Training",
        "gtsrb/GTSRB/Final_Test/Images",
        "gtsrb/GT-final_test.csv",
    )

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """Both parts and the labels of the test part, from where torchvision fetches them."""
        url = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370"
        files = (
            ("GTSRB-Training_fixed.zip", "513f3c79a4c5141765e10e952eaa2478"),
            ("GTSRB_Final_Test_Images.zip", "c7e4e6327067d32654124b0fe9e82185"),
            ("GTSRB_Final_Test_GT.zip", "fe31e9c9270bbcd7b84b7f21a9d9d9e5"),
        )
        return tuple(
            Archive(f"{url}/{name}", md5, place.removeprefix("gtsrb/"), place)
            for (name, md5), place in zip(files, cls.places, strict=True)
        )

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import GTSRB

        return GTSRB(str(root), split=part)

    def _listed(self, root: Path) -> Lists:
        # torchvision numbers the folders that are there; their names are the class numbers.
        train = [(path, int(Path(path).parent.name)) for path, _ in pairs(self._reader(root, "train"))]
        test = pairs(self._reader(root, "test"))
        if odd := sorted({label for _, label in (*train, *test)} - set(range(len(_SIGNS)))):
            raise DataError(
                f"{self.title} in {root} lists the class {odd[0]}, but classes are 0 to {len(_SIGNS) - 1}.",
                f"Replace the files. {self._advice(root)}",
            )
        return Lists(root, _SIGNS, train, test)


_SIGNS = (
    *(f"speed limit {number}" for number in (20, 30, 50, 60, 70, 80)),
    *("end of speed limit 80", "speed limit 100", "speed limit 120"),
    *(
        "no overtaking",
        "no overtaking by lorries",
        "priority at the next crossing",
        "priority road",
        "give way",
        "stop",
    ),
    *("no vehicles", "no lorries", "no entry", "danger", "bend to the left", "bend to the right", "double bend"),
    *("uneven road", "slippery road", "road narrows", "road works", "traffic lights", "pedestrians", "children"),
    *("bicycles", "ice or snow", "wild animals", "end of all limits", "turn right", "turn left", "straight on"),
    *("straight on or right", "straight on or left", "keep right", "keep left", "roundabout"),
    *("end of no overtaking", "end of no overtaking by lorries"),
)
"""The signs in the order of their numbers, in words of our own."""


class Textures(WithValidation):
    """5,640 photographs of 47 kinds of textures: the Describable Textures Dataset, in one of its ten divisions.

    Source:
        M. Cimpoi, S. Maji, I. Kokkinos, S. Mohamed, A. Vedaldi: Describing Textures in the Wild, CVPR (2014).
    """

    key: ClassVar[str] = "dtd"
    title: ClassVar[str] = "Describable Textures (DTD)"
    publication: ClassVar[Publication] = Publication(
        1880,
        1880,
        47,
        "one of ten official divisions, with 1,880 more for validation",
        "made available for research purposes; the photographs belong to their owners.",
        f"{_VGG}/dtd/",
    )
    places: ClassVar[tuple[str, ...]] = ("dtd/dtd",)
    validation_images: ClassVar[int] = 1880

    partition: int = param(1, "Which of the ten official divisions.", ge=1, le=10)

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """Images and lists together."""
        from torchvision.datasets import DTD

        return (Archive(DTD._URL, DTD._MD5, "dtd", cls.places[0]),)

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import DTD

        return DTD(str(root), split=part, partition=self.partition)


class Imagenette(FetchedPhotos):
    """13,394 photographs of ten classes of ImageNet that are easy to tell apart: Imagenette.

    The official validation part is what is tested on.

    Source:
        J. Howard: Imagenette (2019), https://github.com/fastai/imagenette; second division.
    """

    key: ClassVar[str] = "imagenette"
    title: ClassVar[str] = "Imagenette"
    publication: ClassVar[Publication] = Publication(
        9469,
        3925,
        10,
        _OFFICIAL,
        "the selection is Apache-2.0; the images are ImageNet's, whose terms of access allow non-commercial research "
        "and education.",
        "https://github.com/fastai/imagenette",
    )
    places: ClassVar[tuple[str, ...]] = ("imagenette2-160", "imagenette2-320", "imagenette2")

    edition: Literal["160px", "320px", "full"] = param(
        "160px", "Which archive is read: the shorter side of its images has 160 or 320 pixels, or what it had."
    )

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """One of the three editions."""
        return (" or ".join(super().files()),)

    @classmethod
    def archives(cls) -> tuple[Archive, ...]:
        """The three editions."""
        from torchvision.datasets import Imagenette as Reader

        found = (Reader._ARCHIVES[edition] for edition in ("160px", "320px", "full"))
        return tuple(Archive(url, md5, place, place) for (url, md5), place in zip(found, cls.places, strict=True))

    def _needed(self) -> tuple[str, ...]:
        return (self.places[("160px", "320px", "full").index(self.edition)],)

    def _reader(self, root: Path, part: str) -> Any:
        from torchvision.datasets import Imagenette as Reader

        return Reader(str(root), split="train" if part == "train" else "val", size=self.edition)


PHOTO_SETS = (Pets, Cars, Flowers, Food, Sun397, EuroSat, Gtsrb, Textures, Imagenette)
"""In the order in which they are shown; the first five are those of Unlearnable Clusters."""
