"""Prepare WMT14 English-German for fairseq: 4.5 million training pairs, newstest2013 and 2014.

    python -m data_prep.wmt14_en_de --out wmt14 --workers 8

downloads the official archives and prepares them as described in configs/data/wmt14_en_de.yaml;
`--mirror` reads them from elsewhere, for instance a folder. For other options, copy that file,
change it, and give it to `data_prep.mix`.
"""

import sys
from pathlib import Path

from data_prep.core.program import run_program
from data_prep.mix import main, parse_arguments

CONFIG = Path(__file__).resolve().parent / "configs" / "wmt14_en_de.yaml"

if __name__ == "__main__":
    sys.exit(run_program(main, parse_arguments(doc=__doc__, config=CONFIG)))
