"""Small archives in exactly the layout of WMT14's, for a server or a folder."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

ENGLISH = "the house dog man woman reads book sees writes new old green small big and"
GERMAN = "das Haus Hund Mann Frau liest Buch sieht schreibt neu alt grün klein groß und"
WORDS = {"en": ENGLISH.split(), "de": GERMAN.split()}
SGM = """<{kind}set setid="newstest2014" srclang="any"{target}>
<doc sysid="ref" docid="1" genre="news" origlang="en">
<p>
{segments}
</p>
</doc>
</{kind}set>
"""


def sentence(number: int, language: str) -> str:
    """Return a sentence that no other number has."""
    words = WORDS[language]
    chosen = [words[number // len(words) ** place % len(words)] for place in range(5)]
    return " ".join([*chosen, str(number), "."])


def sentences(first: int, count: int, language: str) -> str:
    return "".join(sentence(n, language) + "\n" for n in range(first, first + count))


def sgm(first: int, count: int, language: str, kind: str) -> str:
    lines = (sentence(first + n, language) for n in range(count))
    segments = "\n".join(f'<seg id="{n}">{line}</seg>' for n, line in enumerate(lines, start=1))
    target = f' trglang="{language}"' if kind == "ref" else ""
    return SGM.format(kind=kind, target=target, segments=segments)


def write_tar(path: Path, members: Mapping[str, str]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))


def write_archives(folder: Path, pairs: int = 200) -> Path:
    """Write all of them; each training corpus has so many pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    both = ("en", "de")
    corpora = {
        "training-parallel-europarl-v7.tgz": "training/europarl-v7",
        "training-parallel-commoncrawl.tgz": "commoncrawl",
        "training-parallel-nc-v9.tgz": "training/news-commentary-v9",
    }
    for number, (archive, corpus) in enumerate(corpora.items()):
        first = number * pairs
        members = {f"{corpus}.fr-en.en": "something else\n"}
        members |= {f"{corpus}.de-en.{lang}": sentences(first, pairs, lang) for lang in both}
        write_tar(folder / archive, members)
    first = len(corpora) * pairs
    dev = {
        f"dev/newstest{year}.{lang}": sentences(first + 10 * n, 10, lang)
        for n, year in enumerate((2012, 2013))
        for lang in both
    }
    write_tar(folder / "dev.tgz", dev)
    name = "test-full/newstest2014-deen-{}.{}.sgm"
    test = {
        name.format(kind, lang): sgm(first + 20, 10, lang, kind)
        for kind, lang in (("src", "en"), ("ref", "de"), ("src", "de"), ("ref", "en"))
    }
    write_tar(folder / "test-full.tgz", test)
    return folder
