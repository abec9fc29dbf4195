"""Show what is in a snapshot of a memory, and check that it is whole.

    python scripts/inspect_memory.py memory.safetensors

The description is JSON on stdout; a damaged or foreign file is refused with one line on stderr.
"""

import argparse
import json
import sys
from pathlib import Path

from fairseq_plugins.memory.snapshot import SnapshotError, summarize


def main() -> None:
    """Read, check, describe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("snapshot", type=Path, help="file that save_memory wrote")
    try:
        print(json.dumps(summarize(parser.parse_args().snapshot), indent=2))
    except SnapshotError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
