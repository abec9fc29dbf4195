"""Downloads that can be interrupted, are verified, and can come from a mirror.

Each file is downloaded once. The SHA-256 of the first download is recorded in `checksums.json`
beside it; existing files and later downloads must match it.
"""

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

import pooch
import requests
from tqdm import tqdm

from data_prep.core.atomic import write_json
from data_prep.core.files import digest, inside, plain_name
from data_prep.core.program import DataError

logger = logging.getLogger(__name__)

CHUNK = 1 << 16  # bytes; a broken connection loses less than this
ATTEMPTS = 5
WAIT = 1.0  # seconds after the first failure; doubled after each further one
TIMEOUT = (10, 60)  # seconds to connect, and without data
GONE_FOR_GOOD = range(400, 500)  # HTTP's client errors: retrying does not help
SHORT = 80  # characters
FINISHED = 416  # "no such range": all bytes are there


class Downloads:
    """A folder of downloaded files.

    Args:
        folder: Destination of the files.
        mirror: A folder or an address with files of the same names, used instead of the original.

    Example:
        path = Downloads(Path("downloads")).get("https://www.statmt.org/wmt14/dev.tgz")
    """

    def __init__(self, folder: Path, mirror: str | None = None) -> None:
        self.folder, self.mirror = folder, mirror
        self.record = folder / "checksums.json"
        self._asked: dict[Path, str] = {}

    def path(self, url: str, name: str | None = None) -> Path:
        """Return the path of the file of an address, which may not exist yet."""
        name = name or file_name(url)
        _split(url)  # rejects invalid addresses
        path = inside(self.folder, name, url)
        if path == self.record:
            raise DataError(f"{url}: {path.name} is the name of the record of downloads")
        return path

    def get(
        self, url: str, name: str | None = None, check: Callable[[Path], None] | None = None
    ) -> Path:
        """Download a file unless it exists; a damaged one is downloaded again.

        Args:
            url: Its address.
            name: Local name; the end of the address by default.
            check: Examines a file when it is first downloaded, and raises an error if it is wrong.

        Returns:
            The path of the file.

        Raises:
            DataError: If it cannot be downloaded, or differs from the first download.
        """
        path = self.path(url, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        key = path.relative_to(self.folder).as_posix()
        known = self._known()
        entry = known.get(key, {})
        self._refuse_another(url, path, entry.get("url", url))
        if not path.exists():
            logger.info("fetching %s", url)
        pooch.get_logger().setLevel(logging.WARNING)  # its advice on checksums is for programmers
        try:
            pooch.retrieve(
                url, entry.get("checksum"), path.name, path.parent, downloader=self._fetch
            )
        except ValueError as error:
            raise DataError(
                f"{url}: not the file that was first fetched, whose checksum is in "
                f"{self.record}; if you trust the new one, remove its entry there"
            ) from error
        if "url" in entry:
            return path
        try:
            if check is not None:
                check(path)
        except DataError:
            path.unlink()
            raise
        known[key] = {"url": url, "checksum": f"sha256:{digest(path)}"}
        write_json(self.record, known)
        return path

    def _known(self) -> dict[str, dict[str, str]]:
        try:
            known = json.loads(self.record.read_text("utf-8")) if self.record.exists() else {}
            # Earlier versions recorded only the checksum.
            return {
                key: {part: str(text) for part, text in entry.items()}
                if isinstance(entry, dict)
                else {"checksum": str(entry)}
                for key, entry in known.items()
            }
        except (ValueError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{self.record}: does not say what was fetched; remove it with what was fetched"
            ) from error

    def _refuse_another(self, url: str, path: Path, fetched: str) -> None:
        """Reject a second address for a file name; another computer may have the same one."""
        now = self._asked.get(path, url)
        if now != url or _split(fetched)[2:] != _split(url)[2:]:
            raise DataError(
                f"{url}: {path} is what {now if now != url else fetched} has; only one file can "
                f"have this name: remove it with its entry in {self.record}, or fetch one of the "
                "two yourself and give its path"
            )
        self._asked[path] = url

    def _fetch(self, url: str, output: str, _: object) -> None:
        """Download a file, for pooch."""
        name = file_name(url)
        if self.mirror is None:
            fetch(url, Path(output))
        elif "://" in self.mirror:
            fetch(f"{self.mirror.rstrip('/')}/{name}", Path(output))
        else:
            original = Path(self.mirror) / name
            if not original.is_file():
                raise DataError(f"{original}: no such file; the mirror needs it, as from {url}")
            shutil.copyfile(original, output)


def file_name(url: str) -> str:
    """Return the last part of an address as the name of a file.

    Raises:
        DataError: If the address is invalid, or its last part cannot be the name of a file.
    """
    return plain_name(unquote(_split(url).path.rsplit("/", 1)[-1]), url)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise DataError(f"{url}: not an address ({error})") from error


def fetch(url: str, output: Path) -> None:
    """Download a file, resume an interrupted download, and retry.

    A partial download is kept beside the output, see :func:`unfinished`.

    Raises:
        DataError: If it cannot be downloaded.
    """
    part = unfinished(url, output.parent)
    wait = WAIT
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _append(url, part)
            break
        except requests.RequestException as error:
            response = error.response
            refused = response is not None and response.status_code in GONE_FOR_GOOD
            refused |= isinstance(error, ValueError)  # the address itself is invalid
            if refused or attempt == ATTEMPTS:
                raise DataError(
                    f"{url}: cannot be fetched ({_reason(error)}); check the network, or fetch "
                    "the files elsewhere and name their folder with --mirror or --source"
                ) from error
            logger.warning("%s: %s; trying again in %.0f s", url, _reason(error), wait)
            time.sleep(wait)
            wait *= 2
    shutil.move(part, output)


def unfinished(url: str, folder: Path) -> Path:
    """Return the path of a partial download; every address has a different one."""
    return folder / f".{file_name(url)}.{hashlib.sha256(url.encode()).hexdigest()[:8]}.part"


def for_pooch(url: str, output: str, _: object) -> None:
    """Adapt :func:`fetch` to pooch."""
    fetch(url, Path(output))


def _append(url: str, part: Path) -> None:
    """Download the missing part of a file.

    Raises:
        requests.RequestException: If it stops before its end.
    """
    begin = part.stat().st_size if part.exists() else 0
    # identity: a compressed stream could not be resumed.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if begin and response.status_code == FINISHED:
            part.unlink()  # complete, or from another file: not worth distinguishing
            raise requests.ConnectionError("the earlier part does not match")
        response.raise_for_status()
        if response.status_code != requests.codes.partial:
            begin = 0
        length = _length(response)
        total = None if length is None else begin + length
        # If the length is known, it shows whether the file is complete.
        known_length = suppress(requests.exceptions.ChunkedEncodingError)
        with (
            part.open("ab" if begin else "wb") as file,
            tqdm(
                desc=file_name(url), initial=begin, total=total,
                unit="B", unit_scale=True, disable=None,
            ) as bar,
            nullcontext() if length is None else known_length,
        ):  # fmt: skip
            for chunk in response.iter_content(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size < total:
        raise requests.ConnectionError(f"ended after {size:,} of {total:,} bytes")


def _length(response: requests.Response) -> int | None:
    """Return the number of bytes that a response announces, if it does.

    Raises:
        requests.RequestException: If it is not a number.
    """
    length = response.headers.get("Content-Length")
    if length is not None and not re.fullmatch("[0-9]{1,18}", length):
        raise requests.ConnectionError(f"the server says it sends {length[:20]!r} bytes")
    return None if length is None else int(length)


def _reason(error: requests.RequestException) -> str:
    """Return the reason in a few words."""
    if error.response is not None:
        return f"{error.response.status_code} {error.response.reason}"
    text = str(error)
    return text if len(text) < SHORT else type(error).__name__  # urllib3's messages can be long
