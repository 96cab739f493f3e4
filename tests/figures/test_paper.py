"""A drawing as a PDF: letters stay letters, their fonts are inside, and nothing outside is read."""

import io

import pypdf
import pytest
from pypdf.generic import DictionaryObject

from ued_core.errors import DataError
from ued_core.figures.paper import COLUMN_MM, MOST_BYTES, pdf_of

DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="400" height="200">'
    '<text x="20" y="50" style="font-family: \'New Computer Modern\', serif; font-weight: {weight}">{text}</text>'
    '<path d="M10 10L90 90" stroke="#0a7abf" fill="none"/>{more}</svg>'
)


def drawn(text: str = "Accuracy over α, Θ: 50 % ± 2 −1 → ≤ × √", weight: str = "normal", more: str = "") -> str:
    return DRAWING.format(text=text, weight=weight, more=more)


def read(pdf: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(pdf))


def fonts(pdf: bytes) -> dict[str, bool]:
    """Font → whether the file holds it."""
    reader = read(pdf)
    known = [reader.get_object(number) for number in range(1, len(reader.xref[0]) + 1)]
    found = [one for one in known if isinstance(one, DictionaryObject) and one.get("/Type") == "/FontDescriptor"]
    return {str(one["/FontName"]): any(f"/FontFile{kind}" in one for kind in ("", "2", "3")) for one in found}


def test_a_page_of_the_columns_width_with_its_words_in_the_properties() -> None:
    pdf = pdf_of(drawn(), COLUMN_MM, "What does α do?", "seed 3, hash 0a1b", ("UED Studio 0.1.0",))
    assert pdf.startswith(b"%PDF-1.5"), "TeX includes it without a warning"
    reader = read(pdf)
    (page,) = reader.pages
    assert float(page.mediabox.width) == pytest.approx(COLUMN_MM / 25.4 * 72, abs=0.01)
    assert float(page.mediabox.height) == pytest.approx(float(page.mediabox.width) / 2, abs=0.01)
    told = reader.metadata
    assert (told["/Title"], told["/Subject"], told["/Keywords"]) == (
        "What does α do?",
        "seed 3, hash 0a1b",
        "UED Studio 0.1.0",
    )


def test_letters_stay_letters_and_their_fonts_are_inside() -> None:
    pdf = pdf_of(drawn(), COLUMN_MM, "t")
    assert "Accuracy over α, Θ: 50 % ± 2 −1 → ≤ × √" in read(pdf).pages[0].extract_text()
    held = fonts(pdf)
    assert held, "there is text, so there are fonts"
    assert all(held.values()), held
    assert any("NewCM" in name for name in held), "the letters of LaTeX documents"
    assert any("Bold" in name for name in fonts(pdf_of(drawn(weight="bold"), COLUMN_MM, "t")))


def test_the_cross_of_the_poisoned_has_a_letter() -> None:
    text = read(pdf_of(drawn("✕ poisoned"), COLUMN_MM, "t")).pages[0].extract_text()
    assert "× poisoned" in text


def test_words_are_no_markup() -> None:
    reader = read(pdf_of(drawn(), COLUMN_MM, '#panic("x") ] $', '*a* #read("/etc/passwd")'))
    assert reader.metadata["/Title"] == '#panic("x") ] $'
    assert reader.metadata["/Subject"] == '*a* #read("/etc/passwd")'


def test_no_file_of_the_machine_is_read(tmp_path) -> None:
    """A picture that a drawing only names stays outside."""
    from PIL import Image

    secret = tmp_path / "secret.png"
    Image.new("RGB", (4, 4), "red").save(secret)
    named = drawn(more=f'<image xlink:href="{secret}" width="50" height="50"/>')
    try:
        made = pdf_of(named, COLUMN_MM, "t")
    except DataError:
        return
    assert not list(read(made).pages[0].images)


def test_what_cannot_be_is_refused() -> None:
    for width in (5.0, 1000.0, float("nan")):
        with pytest.raises(DataError, match="mm wide"):
            pdf_of(drawn(), width, "t")
    with pytest.raises(DataError, match="No PDF can be made"):
        pdf_of("no drawing", COLUMN_MM, "t")
    with pytest.raises(DataError, match="MiB"):
        pdf_of(" " * (MOST_BYTES + 1), COLUMN_MM, "t")
