"""A translator that remembers, in a few minutes on a laptop: `make demo`.

Makes a small corpus of an invented language, trains one translator without and one with memory,
compares them, and teaches the second one a hundred names it has never seen, one sentence each.
"""

import argparse
import logging
import os
import time
from pathlib import Path

from fairseq_plugins.arguments import positive, seed
from fairseq_plugins.experiments import demo
from fairseq_plugins.program import start

logger = logging.getLogger("demo")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("demo"), help="folder for all that is made (demo)")
    add("--updates", type=positive, default=1900, help="training steps (1900)")
    add("--seed", type=seed, default=1, help="another seed, another language (1)")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="processor cores to use")
    return parser.parse_args()


def main() -> None:
    """Five steps."""
    args = parse()
    start()
    plan = demo.Plan(args.out.resolve(), args.updates, args.seed, args.threads)
    begin = time.perf_counter()

    logger.info("1/4 Making a corpus of an invented language with 4,000 names")
    corpus = demo.make_corpus(plan)
    logger.info("2/4 Training two translators, the same but for the memory (some minutes)")
    demo.train(plan, corpus)
    logger.info("3/4 Translating 1,000 test sentences with both")
    table = demo.compare(plan, corpus)
    logger.info("4/4 Teaching the one with memory 100 new names, one sentence each")
    recalls = demo.teach(plan, corpus)

    right = sum(recall.remembered for recall in recalls)
    example = next((recall for recall in recalls if recall.remembered), recalls[0])
    print(f"\n{table}\n")
    print(f"New names right in another sentence, after one showing: {right} of {len(recalls)}")
    print(f"""
  taught      {example.taught}   ({example.name} = {example.translation})
  asked       {example.source}
  before      {example.before}
  after       {example.after}
  reference   {example.reference}
""")
    logger.info("Done in %.0f seconds. Everything is in %s", time.perf_counter() - begin, args.out)


if __name__ == "__main__":
    main()
