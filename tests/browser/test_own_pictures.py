"""Own photographs: three files, uploaded on Defence, stand in its tiles within seconds."""

import io
import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from sklearn.datasets import load_sample_images

pytestmark = pytest.mark.browser
PATIENT = 90_000


def photographs() -> list[dict]:
    """Two of scikit-learn's photographs and a drawn picture: JPEG, BMP and TIFF, none of them square."""
    pagoda, flower = load_sample_images().images
    rows, columns = np.mgrid[0:300, 0:480]
    rings = np.stack([rows * 255 // 300, columns * 255 // 480, 128 + 127 * np.sin(np.hypot(rows, columns) / 9)], -1)
    made = []
    for name, kind, pixels in (
        ("pagoda.jpg", "JPEG", pagoda),
        ("flower.bmp", "BMP", flower),
        ("rings.tif", "TIFF", rings),
    ):
        file = io.BytesIO()
        Image.fromarray(np.asarray(pixels, np.uint8)).save(file, kind)
        made.append({"name": name, "mimeType": f"image/{kind.lower()}", "buffer": file.getvalue()})
    return made


def test_three_photographs_stand_in_the_tiles(page: Page) -> None:
    page.goto("/defence?data=folder")
    expect(page.get_by_text(re.compile("What you upload stays on the machine"))).to_be_visible(timeout=PATIENT)
    page.locator("input[type=file]").set_input_files(photographs())
    expect(page.get_by_text("3 images to look at, not to train on")).to_be_visible(timeout=PATIENT)
    for name in ("flower", "pagoda", "rings"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible(timeout=PATIENT)
    assert "data_folder_path=import" in page.url
    page.get_by_text("what was skipped or changed").click()
    expect(page.get_by_text(re.compile("Cut 3 to the centred square"))).to_be_visible()
    # The address brings the same pictures back.
    page.goto(page.url)
    expect(page.get_by_text("flower", exact=True).first).to_be_visible(timeout=PATIENT)
