"""A PostgreSQL server for tests, in a separate folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.programs import LONGEST

PROGRAMS = "/usr/lib/postgresql/*/bin"  # where Debian installs them
USER = "postgres"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Yield the URL of an empty database; skipped where PostgreSQL is not installed."""
    programs = sorted(Path("/").glob(f"{PROGRAMS[1:]}/initdb"))
    found = programs[-1] if programs else shutil.which("initdb")
    if found is None:
        pytest.skip("PostgreSQL is not installed")
    bin, folder = Path(found).parent, Path(tempfile.mkdtemp(prefix="pg"))  # sockets: short paths
    run_as = []
    if os.getuid() == 0:  # as which it refuses to run
        if not shutil.which("setpriv"):
            pytest.skip("PostgreSQL does not run as root, and there is no setpriv")
        shutil.chown(folder, USER)
        run_as = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]

    def run(*command: object) -> None:
        done = subprocess.run(
            [*run_as, *map(str, command)], stdout=subprocess.DEVNULL, timeout=LONGEST, cwd=folder
        )
        assert done.returncode == 0

    control = [bin / "pg_ctl", "-D", folder / "data", "-l", folder / "log", "-wt", int(LONGEST)]
    try:
        # The encoding and the locale are named, whatever the machine speaks.
        run(bin / "initdb", "-D", folder / "data", "-A", "trust", "-U", USER, "--no-sync",
            "--encoding=UTF8", "--locale=C")  # fmt: skip
        run(*control, "-o", f"-k {folder} -c listen_addresses=''", "start")
        yield f"postgresql://{USER}@/{USER}?host={folder}"
        run(*control, "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def empty_postgresql(postgresql: str) -> str:
    """Return the same, without what other tests left there."""
    with psycopg.connect(postgresql) as connection:
        connection.execute("DROP TABLE IF EXISTS events, decodings, about")
    return postgresql
