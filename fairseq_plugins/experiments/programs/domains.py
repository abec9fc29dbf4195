"""Adapt a translator to domains without training, beside kNN-MT.

    python scripts/reproduce.py domains --base averaged.pt --data DATA-BIN --spm spm.model \\
        --source CORPORA --domains itdoc_linux opus_koran --control CORPORA/newstest2014/test

Attaches a memory to the base, fills it with the text of each domain, and translates a test text and
a text of another domain with the base, kNN-MT, adaptive kNN-MT and ours.
"""

import argparse
import os
from pathlib import Path

from fairseq_plugins.arguments import positive


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--base", type=Path, required=True, help="checkpoint of a translator without a memory")
    add("--data", type=Path, required=True, help="folder with its dictionaries")
    add("--spm", type=Path, required=True, help="its sentencepiece model")
    add("--source", type=Path, required=True,
        help="folder with a folder for each domain: train, dev and, if there is one, test, as "
        "NAME.LANGUAGE or NAME.LANGUAGE.gz")  # fmt: skip
    add("--domains", nargs="+", required=True, metavar="DOMAIN", help="folders in --source")
    add("--control", type=Path, required=True, metavar="PREFIX",
        help="text of another domain, which should not suffer")  # fmt: skip
    add("--languages", nargs=2, default=("en", "de"), metavar="LANGUAGE",
        help="languages of source and target")  # fmt: skip
    add("--train-lines", type=positive, metavar="N", help="pairs to remember (default: all)")
    add("--test-lines", type=positive, metavar="N", help="sentences to translate (default: all)")
    add("--memory-size", type=positive, default=1_000_000, metavar="SLOTS", help="number of slots")
    add("--out", type=Path, default=Path("domains"), help="folder for all output")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="number of processor cores")


def run(args: argparse.Namespace) -> str:
    """Adapt, translate and return the results."""
    import torch

    from fairseq_plugins.atomic import write_json
    from fairseq_plugins.experiments.domains import (
        Amounts,
        Translator,
        adapt,
        check_inputs,
        domains_table,
    )

    base = Translator(args.base, args.data, args.spm, tuple(args.languages))
    check_inputs(base, [args.source / domain for domain in args.domains], args.control)
    torch.set_num_threads(args.threads)
    how = Amounts(args.train_lines, args.test_lines, args.memory_size, args.threads)
    results = {
        domain: adapt(base, args.source / domain, args.control, args.out / domain, how)
        for domain in args.domains
    }
    write_json(args.out / "results.json", results)
    return domains_table(results)
