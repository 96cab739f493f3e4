"""Own pictures on every page that takes data: uploaded in the sidebar, shown, and told apart from other data."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.frame.navigation import PAGES
from pages.state.own_data import OTHER_DATA, other_data_words
from ued_core.data import DATASETS
from ued_core.data.handles import is_handle

WITHOUT_DATA = ("", "glossary", "results", "staged", "runs", "studies")
"""Pages without a choice of data in the sidebar."""
TAKE_DATA = [entry.address for entry in PAGES if entry.address not in WITHOUT_DATA]
UPLOADER = "data_folder_path_upload"


def picture(number: int, kind: str = "PNG", size: tuple[int, int] = (60, 40)) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


THREE = [("sea.png", picture(1), ""), ("tree.bmp", picture(2, "BMP"), ""), ("sky.tif", picture(3, "TIFF"), "")]


def uploaded(page: AppTest, files: list[tuple[str, bytes, str]]) -> AppTest:
    page.file_uploader(key=UPLOADER).set_value(files)
    return page.run()


def problems(page: AppTest) -> list[str]:
    return [error.value for error in (*page.exception, *page.error)]


@pytest.mark.parametrize("address", TAKE_DATA)
def test_three_pictures_on_every_page(open_page, address: str) -> None:
    page = open_page(address, {"data": "folder"})
    assert page.file_uploader(key="data_first_upload").label == "Your pictures: several files, or a zip"
    assert not problems(page)
    page = uploaded(page, THREE)
    assert not problems(page)
    assert is_handle(page.query_params["data_folder_path"])
    (line,) = [e.label for e in page.expander if "Own pictures" in e.label]
    assert "3 images to look at, not to train on" in line
    assert not [box for box in page.info if "Skipped" in box.value or "Cut" in box.value]


def texts(page: AppTest) -> str:
    return "\n".join(element.value for element in (*page.caption, *page.markdown))


@pytest.mark.parametrize("address", ["attack", "defence", "clusters", "dvae", "detection", "perturbations"])
def test_what_was_measured_on_other_data_says_so(open_page, address: str) -> None:
    page = uploaded(open_page(address, {"data": "folder"}), THREE)
    marked = [line for line in texts(page).splitlines() if OTHER_DATA in line]
    assert marked
    for line in marked:
        assert any(words in line for words in ("not on Own pictures", "is known to work on", "**It works on "))


def test_the_same_data_is_not_marked() -> None:
    shapes, folder = DATASETS.build("shapes"), DATASETS.build("folder")
    assert other_data_words(shapes, ["digits", "shapes"]) == ""
    assert other_data_words(shapes, []) == ""
    told = other_data_words(folder, ["digits", "shapes", "digits", "photos"])
    assert told == f"{OTHER_DATA} measured on Digits, Shapes and Photos, not on Own pictures."


def class_zip(**counts: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for offset, (name, count) in enumerate(counts.items()):
            for number in range(count):
                archive.writestr(f"{name}/{number}.png", picture(100 * offset + number))
        archive.writestr("readme.txt", b"mine")
    return packed.getvalue()


def test_a_zip_with_class_folders_is_one_line_with_its_notes_behind_it(open_page) -> None:
    page = uploaded(open_page("attack", {"data": "folder"}), [("pets.zip", class_zip(cat=5, dog=10), "")])
    assert not problems(page)
    (notes,) = [e for e in page.expander if "Own pictures" in e.label]
    assert notes.label.startswith("**Own pictures:** 12 training and 3 test images in 2 classes · few to measure with")
    told = notes.markdown[0].value.replace("\\", "")
    for said in ("readme.txt", "Cut 15 to the centred square: 33 %", "There are only 3 test images: each is 33 points"):
        assert said in told
    assert not page.info
    assert not page.warning


def test_the_owner_may_name_a_zip_by_its_path(open_page, tmp_path: Path) -> None:
    path = tmp_path / "pets.zip"
    path.write_bytes(class_zip(cat=3, dog=3))
    page = open_page("attack", {"data": "folder"})
    page.text_input(key="data_folder_path").set_value(str(path)).run()
    assert not problems(page)
    assert [e.label for e in page.expander if "4 training and 2 test images in 2 classes" in e.label]


def test_a_refused_upload_stays_explained_and_the_next_one_is_taken(open_page) -> None:
    page = uploaded(open_page("attack", {"data": "folder"}), [("pets.zip", b"no zip", "")])
    assert "not a zip archive" in page.error[0].value.replace("\\", "")
    page.run()
    assert page.error, "it is still explained after another run of the page"
    page = uploaded(page, THREE)
    assert not page.error
    assert [e.label for e in page.expander if "3 images to look at" in e.label]


def test_what_was_uploaded_goes_with_the_reader_to_the_next_page(open_page) -> None:
    page = uploaded(open_page("attack", {"data": "folder"}), THREE)
    link = {"data": "folder", "data_folder_path": page.query_params["data_folder_path"]}
    there = open_page("matrices", link)
    assert not problems(there)
    assert [c.value for c in there.caption if c.value == "What was uploaded before is shown."]


def test_what_one_picture_per_class_cannot_show_is_said_once(open_page) -> None:
    for address, needing in (("features", "Clusters need"), ("detection", "The tests need")):
        page = uploaded(open_page(address, {"data": "folder"}), THREE)
        (box,) = page.info
        assert box.value.startswith(f"{needing} several pictures per class")
        assert not page.warning


def test_the_uploader_in_the_middle_of_the_page_gives_the_pictures_to_the_control(open_page) -> None:
    page = open_page("attack", {"data": "folder"})
    page.file_uploader(key="data_first_upload").set_value([("pets.zip", b"no zip", "")]).run()
    assert "not a zip archive" in page.error[0].value.replace("\\", "")
    page.file_uploader(key="data_first_upload").set_value(THREE).run()
    assert not problems(page)
    assert page.text_input(key="data_folder_path").value == page.query_params["data_folder_path"]
    assert is_handle(page.query_params["data_folder_path"])
    assert [e.label for e in page.expander if "3 images to look at" in e.label]
    page.text_input(key="data_folder_path").set_value("").run()
    assert page.file_uploader(key="data_first_upload").value in (None, [])


def test_pictures_to_look_at_are_not_handed_to_training(open_page) -> None:
    def button(page: AppTest) -> bool:
        (found,) = [b for b in page.button if b.label.startswith("Train with this")]
        return found.disabled

    assert button(uploaded(open_page("defence", {"data": "folder"}), THREE))
    pets = [("pets.zip", class_zip(cat=5, dog=5), "")]
    assert not button(uploaded(open_page("defence", {"data": "folder"}), pets))
