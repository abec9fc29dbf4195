"""The documentation is correct: its code runs, and its links work."""

import contextlib
import dataclasses
import io
import re
import sys
from pathlib import Path

import pytest
from fairseq.dataclass import FairseqDataclass

from fairseq_plugins.criterions.memory_cross_entropy import MemoryCrossEntropyConfig
from fairseq_plugins.models.gnmt_memory import GNMTMemoryConfig
from tests.programs import run, succeeded
from tests.tiny_translator import make_translator

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A block of Python, and what it prints, if a block of text follows.
EXAMPLE = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", re.M | re.S)
TRANSLATOR = "my-translator"  # the folder that examples open
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.M)


def examples(page: Path) -> list[tuple[str, str]]:
    return EXAMPLE.findall(page.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """Return what GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)], ids=lambda p: p.name)
def test_examples_print_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if TRANSLATOR in page.read_text(encoding="utf-8"):
        make_translator(tmp_path).rename(TRANSLATOR)
    names: dict[str, object] = {}
    for code, expected in examples(page):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(code, str(page), "exec"), names)
        assert output.getvalue() == expected, code


@pytest.mark.parametrize("name", ["README.md", "docs/memory.md"])
def test_pages_for_newcomers_have_examples(name: str) -> None:
    assert examples(ROOT / name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for markdown, html in LINK.findall(text):
        target, _, fragment = (markdown or html).partition("#")
        if target.startswith("http"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name}: {target}"
        if fragment:
            headings = HEADING.findall(file.read_text(encoding="utf-8"))
            assert fragment in map(anchor, headings), f"{page.name}: #{fragment}"


@pytest.mark.parametrize("config", [GNMTMemoryConfig, MemoryCrossEntropyConfig])
def test_page_of_options_lists_every_option_of_the_memory(config: type[FairseqDataclass]) -> None:
    text = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(config):
        if field.name.startswith("memory_"):
            option = "--" + field.name.replace("_", "-")
            assert f"| `{option}` | {field.default} |" in text, option


def test_picture_is_what_the_script_draws(tmp_path: Path) -> None:
    drawn = tmp_path / "model.svg"
    script = ROOT / "scripts" / "draw_model.py"
    succeeded(run(sys.executable, script, "--output", drawn))
    assert drawn.read_bytes() == (ROOT / "docs" / "images" / "model.svg").read_bytes()
