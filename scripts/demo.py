"""Train and teach a translator with a memory, in a few minutes on a laptop: `make demo`.

Creates a small corpus of an invented language, trains one translator without and one with a memory,
compares them, and teaches the second one a hundred new names, in one sentence each.
"""

import argparse
import logging
import os
import time
from pathlib import Path

from fairseq_plugins.arguments import positive, seed
from fairseq_plugins.program import start

logger = logging.getLogger("demo")


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, default=Path("demo"), help="folder for all output (demo)")
    add("--updates", type=positive, default=3000, help="number of updates of each training (3000)")
    add("--seed", type=seed, default=1, help="seed; each seed gives another language (1)")
    add("--threads", type=positive, default=os.cpu_count() or 1, help="number of processor cores")
    return parser.parse_args()


def main() -> None:
    """Run the demo and print its results."""
    args = parse()
    from fairseq_plugins.experiments import demo

    start()
    begin = time.perf_counter()
    plan = demo.Plan(args.out.resolve(), args.updates, args.seed, args.threads)
    scores, recalls = demo.demonstrate(plan)
    print(f"\n{demo.table(list(scores.values()))}\n")
    known = sum(recall.translation in recall.before.split() for recall in recalls)
    right = sum(recall.remembered for recall in recalls)
    print(f"{len(recalls)} new names, each taught in one sentence and asked for in another:")
    print(f"{known} correct before, {right} correct after")
    shown = demo.example(recalls)
    print(f"""
  taught      {shown.taught}   ({shown.name} = {shown.translation})
  asked       {shown.source}
  before      {shown.before}
  after       {shown.after}
  reference   {shown.reference}
""")
    told = demo.converse(plan, shown)
    print(f"""The same with the finished translator, one lesson at a time:

  before      {told.before}
  teach       {shown.taught}  ->  {shown.taught_target}
  after       {told.after}""")
    for word, share in told.why:
        print(f"  why         {word}: {share:.0%} of its probability is from this lesson")
    print(f"  forget      {told.forgotten}\n")
    print("What you can do next:")
    for what, command in demo.next_steps(plan).items():
        print(f"\n{what}\n\n  {command}")
    print("\nTrain on your own text and teach it: README.md, docs/teaching.md\n")
    logger.info("Done in %.0f seconds. Everything is in %s", time.perf_counter() - begin, args.out)


if __name__ == "__main__":
    main()
