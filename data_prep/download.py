"""Downloads that can be interrupted, are never taken for another file, and come from a mirror.

Each file is fetched once. What the first download brings is recorded, with its SHA-256, in
`checksums.json` beside it; whatever is there or is fetched later must agree with it.
"""

import json
import logging
import shutil
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pooch
import requests
from tqdm import tqdm

from data_prep.files import CHUNK, digest
from data_prep.program import DataError
from data_prep.stages import write_atomically

logger = logging.getLogger(__name__)

ATTEMPTS = 5
WAIT = 1.0  # seconds after the first failure; twice as long after each further one
TIMEOUT = (10, 60)  # seconds to connect, and without a byte
GONE_FOR_GOOD = range(400, 500)  # HTTP's "you are wrong": asking again does not help
FINISHED = 416  # "no such range": all bytes are there


class Downloads:
    """A folder of downloaded files.

    Args:
        folder: Where they go.
        mirror: A folder or an address that has files of the same names; instead of the original.

    Example:
        path = Downloads(Path("downloads")).get("https://www.statmt.org/wmt14/dev.tgz")
    """

    def __init__(self, folder: Path, mirror: str | None = None) -> None:
        self.folder, self.mirror = folder, mirror
        self.record = folder / "checksums.json"

    def path(self, url: str, name: str | None = None) -> Path:
        """Where the file of an address lies, or will."""
        return self.folder / (name or file_name(url))

    def get(self, url: str, name: str | None = None) -> Path:
        """Fetch a file unless it is there.

        Args:
            url: Its address.
            name: What it is called here; the end of the address, if not given.

        Returns:
            Where it is.

        Raises:
            DataError: If it cannot be fetched, or differs from what was fetched first.
        """
        path = self.path(url, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        known = self._known()
        key = path.relative_to(self.folder).as_posix()
        if not path.exists():
            self._fetch(url, path)
        found = f"sha256:{digest(path)}"
        if known.setdefault(key, found) != found:
            raise DataError(
                f"{path}: not the file that was first fetched from {url}, whose checksum is in "
                f"{self.record.name} beside it; remove the file to fetch it again, and its line "
                "there, too, if you trust the new one"
            )
        write_atomically(self.record, json.dumps(known, indent=1) + "\n")
        return path

    def forget(self, path: Path) -> None:
        """Remove a file that turned out to be wrong, so that it is fetched anew."""
        known = self._known()
        known.pop(path.relative_to(self.folder).as_posix(), None)
        write_atomically(self.record, json.dumps(known, indent=1) + "\n")
        path.unlink()

    def _known(self) -> dict[str, str]:
        return json.loads(self.record.read_text("utf-8")) if self.record.exists() else {}

    def _fetch(self, url: str, path: Path) -> None:
        if self.mirror is not None and "://" not in self.mirror:
            original = Path(self.mirror) / file_name(url)
            if not original.is_file():
                raise DataError(f"{original}: no such file; the mirror needs it, as from {url}")
            logger.info("copying %s", original)
            shutil.copyfile(original, _unfinished(path))
            _unfinished(path).replace(path)
            return
        if self.mirror is not None:
            url = f"{self.mirror.rstrip('/')}/{file_name(url)}"
        logger.info("fetching %s", url)
        # pooch would advise programmers on checksums.
        pooch.get_logger().setLevel(logging.WARNING)
        pooch.retrieve(url, None, path.name, path.parent, downloader=_Resuming(path))


def file_name(url: str) -> str:
    """The last part of an address."""
    return unquote(urlsplit(url).path.rsplit("/", 1)[-1])


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


class _Resuming:
    """For pooch: goes on where an interrupted download stopped, and tries again."""

    def __init__(self, path: Path) -> None:
        self.part = _unfinished(path)

    def __call__(self, url: str, output: str, _: object) -> None:
        wait = WAIT
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._download(url)
                break
            except requests.RequestException as error:
                response = error.response
                if attempt == ATTEMPTS or (
                    response is not None and response.status_code in GONE_FOR_GOOD
                ):
                    raise DataError(
                        f"{url}: cannot be fetched ({_reason(error)}); check the network, or "
                        "fetch the files elsewhere and name their folder with --mirror or --source"
                    ) from error
                logger.warning("%s: %s; trying again in %.0f s", url, _reason(error), wait)
                time.sleep(wait)
                wait *= 2
        shutil.move(self.part, output)

    def _download(self, url: str) -> None:
        """Append to the part that is there.

        Raises:
            requests.RequestException: if it stops before its end.
        """
        begin = self.part.stat().st_size if self.part.exists() else 0
        # identity: a packed stream could not be gone on with.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if begin and response.status_code == FINISHED:
                self.part.unlink()  # longer than the original, or whole: not worth telling apart
                raise requests.ConnectionError("the part that is here does not fit")
            response.raise_for_status()
            if response.status_code != requests.codes.partial:
                begin = 0
            length = response.headers.get("Content-Length")
            total = begin + int(length) if length else None
            with (
                self.part.open("ab" if begin else "wb") as file,
                tqdm(
                    desc=self.part.stem, initial=begin, total=total,
                    unit="B", unit_scale=True, disable=None,
                ) as bar,
            ):  # fmt: skip
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        size = self.part.stat().st_size
        if total is not None and size < total:
            raise requests.ConnectionError(f"ended after {size:,} of {total:,} bytes")


def _reason(error: requests.RequestException) -> str:
    """In a few words."""
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    return type(error).__name__ if isinstance(error, requests.Timeout) else _innermost(error)


def _innermost(error: BaseException) -> str:
    text = str(error)
    return text if len(text) < 80 else type(error).__name__
