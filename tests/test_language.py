"""The distributive article: "one per class", never "one a class"."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
COUNTED = (
    "one|number|rows|line|lines|matrices|kernel|samples|pattern|bytes|bits|images|magnitude|label|step|passes|draws|"
    "epochs|batches|nats|rate|numbers|entries|cells|pixels|steps|seconds|points|weights|values|copies|runs|words"
)
OVER = (
    "class|image|training image|row|pixel|epoch|cluster|channel|step|sample|batch|layer|session|seed|axis|data set|"
    "stage|loop|round|latent position|side|page|set|line|file|reader|visitor|person|server|core|slot|chunk|run|draw"
)
# "How many times an image passes" has an article before a noun of its own; no such word stands in COUNTED.
DISTRIBUTIVE = re.compile(rf"\b({COUNTED}) an? ({OVER})\b")


def found(text: str) -> list[str]:
    """Where the article distributes; a message that is written in several pieces is read as one."""
    joined = re.sub(r'"\s*\n\s*f?"', "", text)
    return [match.group() for match in DISTRIBUTIVE.finditer(re.sub(r"\s+", " ", joined))]


@pytest.mark.parametrize("folder", ["ued_core", "pages", "benchmarks", "docs"])
def test_articles_do_not_distribute(folder: str) -> None:
    files = [path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in (".py", ".md", ".js")]
    assert files
    assert {str(path): words for path in files if (words := found(path.read_text("utf-8")))} == {}


def test_articles_of_documents_do_not_distribute() -> None:
    assert {path.name: words for path in ROOT.glob("*.md") if (words := found(path.read_text("utf-8")))} == {}


def test_what_would_be_found() -> None:
    assert found("must be int64 (N,): one a image. Two\nsamples\n    a class.") == ["one a image", "samples a class"]
    assert found('("must be one whole number "\n    f"an image")') == ["number an image"]
    assert found("one per image; how many times an image passes; it trains a class") == []
