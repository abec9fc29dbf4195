"""Turns tokenised parallel text into the binary format that fairseq trains on."""

import logging
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from data_prep.core.files import read_with_progress
from data_prep.core.program import DataError

logger = logging.getLogger(__name__)

# fairseq adds these to every dictionary by itself, in front.
SPECIAL_TOKENS = ("<s>", "<pad>", "</s>", "<unk>")
# What fairseq-preprocess says of each file: `[en] FILE: N sents, N tokens, N% replaced by <unk>`.
FILE_SUMMARY = re.compile(r"\[\w+\] .*\d sents.*")


def count_tokens(texts: Iterable[Path]) -> Counter[str]:
    """Count the tokens of text files, as fairseq splits them: at white space."""
    counts: Counter[str] = Counter()
    for text in texts:
        for line in read_with_progress(text, "counting"):
            counts.update(line.split())
    return counts


def write_dictionary(path: Path, counts: Counter[str], others: Iterable[str] = ()) -> None:
    """Write a fairseq dictionary: a line `token count` each, the most frequent first.

    Args:
        path: The file to write.
        counts: How often each token occurs in the training text.
        others: Tokens that get an entry even if they do not occur there, with count 0: they can
            then be read, stored in a memory, and translated later.
    """
    known = {token: counts[token] for token in (*counts, *others) if token not in SPECIAL_TOKENS}
    ranked = sorted(known.items(), key=lambda item: (-item[1], item[0]))
    path.write_text("".join(f"{token} {count}\n" for token, count in ranked), "utf-8")


def run_fairseq_preprocess(
    folder: Path,
    languages: tuple[str, str],
    dictionaries: tuple[Path, Path],
    train: Path,
    valid: Path | None,
    tests: Sequence[Path],
    workers: int = 1,
) -> None:
    """Run fairseq-preprocess on tokenised text.

    Args:
        folder: Where `{train,valid,test}.SRC-TGT.{SRC,TGT}.{bin,idx}` and the dictionaries go.
        languages: Source and target language, the ends of the text files' names.
        dictionaries: Of source and target; twice the same file for a joined one.
        train: Prefix of the training text.
        valid: Prefix of the development text, if there is any.
        tests: Prefixes of the test texts, which become `test`, `test1`, ...
        workers: Processes.

    Raises:
        DataError: If fairseq-preprocess fails; with the last line it wrote.
    """
    command = [
        *(sys.executable, "-m", "fairseq_cli.preprocess"),
        *("--source-lang", languages[0], "--target-lang", languages[1]),
        *("--trainpref", str(train)),
        *(["--validpref", str(valid)] if valid else []),
        *(["--testpref", ",".join(map(str, tests))] if tests else []),
        *("--destdir", str(folder), "--workers", str(workers)),
        *("--srcdict", str(dictionaries[0]), "--tgtdict", str(dictionaries[1])),
    ]
    last_line = ""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            last_line = line.strip() or last_line
            if summary := FILE_SUMMARY.search(line):
                logger.info("%s", summary.group())
    if process.returncode != 0:
        raise DataError(f"fairseq-preprocess failed with status {process.returncode}: {last_line}")
    (folder / "preprocess.log").unlink()  # repeats the above, with times and temporary names
