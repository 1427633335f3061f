"""A folder of people -> a batch at a running service, sent again until it has arrived whole, and watched to its end."""

import http.client
import json
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from app.cli.outcomes import Refusal, Tally, explained
from app.cli.photo_folder import MISPLACED, PhotoFolder
from app.cli.plainly import REFUSED, UNUSABLE, told

CALL_S = 60.0
POLL_S = 1.0
# How long a service that does not answer is waited for, in all.
PATIENCE_S = 600.0
LONGEST_PAUSE_S = 30.0
PIECE_BYTES = 256 * 1024
PAGE = 500
_GONE = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


def enroll_there(photos: PhotoFolder, server: str, key: str, ca_file: Path | None, defaults: dict[str, Any]) -> Tally:
    """Has the service enrol the folder. Raises typer.Exit with a sentence for what the service refuses."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    service = _Service(server, key, ca_file)
    console = Console(stderr=True)
    with (
        tempfile.TemporaryFile(prefix="onelook-", suffix=".zip") as file,
        Progress(*columns, TimeRemainingColumn(), console=console) as bar,
    ):
        packing = bar.add_task("packing", total=photos.count())
        photos.pack(file, lambda: bar.advance(packing))
        batch = service.send(file, {**defaults, "retry": "true"}, bar)
        batch = service.watch(batch, bar)
    if batch["status"] != "succeeded":
        raise told(_why(batch), REFUSED)
    counts = batch["items"]
    misplaced = [Refusal(photos.source(path), *MISPLACED) for path in photos.misplaced]
    return Tally(
        enrolled=counts["enrolled"],
        template=counts["template"],
        before=counts["before"],
        erased=counts["erased"],
        refused=(*service.refused(batch), *misplaced),
    )


@dataclass(slots=True)
class _Counted:
    """A file that tells how much of it was read; urllib asks for no more."""

    file: IO[bytes]
    bar: Progress
    task: TaskID

    def read(self, count: int = PIECE_BYTES) -> bytes:
        piece = self.file.read(max(count, PIECE_BYTES))
        self.bar.advance(self.task, len(piece))
        return piece


class _Service:
    """The few calls that a batch needs. Calls wait for a service that does not answer, for some minutes."""

    def __init__(self, url: str, key: str, ca_file: Path | None) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise told(f"{url}: no URL of a service; http://127.0.0.1:8000 is one", UNUSABLE)
        self._url = url.rstrip("/")
        self._key = Path(key[1:]).read_text(encoding="utf-8").strip() if key.startswith("@") else key
        self._tls = ssl.create_default_context(cafile=ca_file) if url.startswith("https") else None

    def send(self, file: IO[bytes], fields: dict[str, Any], bar: Progress) -> Any:
        """Sends the zip; the batch. Cut off, it is sent again: nothing begins before it has arrived whole."""
        size = file.seek(0, 2)
        limit = self._get("/info")["limits"]["max_batch_bytes"]
        if size > limit:
            raise told(
                f"the photos have {size} bytes, and the service takes {limit} at once: send some folders", REFUSED
            )
        task = bar.add_task("sending", total=size)
        headers = {"Content-Type": "application/zip", "Content-Length": str(size)}
        path = f"/enroll/batch?{urlencode(fields, doseq=True)}"

        def once() -> Any:
            file.seek(0)
            bar.reset(task, total=size)
            return self._call("POST", path, _Counted(file, bar, task), headers)

        return self._patiently(once)

    def watch(self, batch: Any, bar: Progress) -> Any:
        """The batch once it has ended. It goes on whether it is watched or not."""
        task = bar.add_task("enrolling", total=batch["progress"]["steps"])
        try:
            while batch["status"] in ("queued", "running"):
                bar.update(task, completed=batch["progress"]["step"])
                time.sleep(POLL_S)
                batch = self._get(batch["urls"]["self"])
        except KeyboardInterrupt:
            typer.echo("the service goes on by itself: run the same command again to see it", err=True)
            raise
        bar.update(task, completed=batch["progress"]["step"])
        return batch

    def refused(self, batch: Any) -> Iterator[Refusal]:
        """Every photo that was refused."""
        cursor = ""
        while True:
            page = self._get(f"{batch['urls']['items']}?status=refused&limit={PAGE}{cursor}")
            for item in page["items"]:
                yield Refusal(
                    item["source"], item["code"], explained(item["detail"], item["problem"], item["person_id"])
                )
            if page["next_cursor"] is None:
                return
            cursor = f"&{urlencode({'cursor': page['next_cursor']})}"

    def _get(self, path: str) -> Any:
        return self._patiently(lambda: self._call("GET", path))

    def _patiently(self, call: Any) -> Any:
        """What the call answers, made again while the service is away or busy."""
        until, pause_s = time.monotonic() + PATIENCE_S, POLL_S
        while True:
            try:
                return call()
            except urllib.error.HTTPError as e:
                refusal = _problem(e)
                if e.code not in (429, 503) or time.monotonic() > until:
                    raise told(f"the service refuses: {refusal}", REFUSED) from e
                pause_s = float(e.headers.get("Retry-After", pause_s))
            except _GONE as e:
                if isinstance(e, urllib.error.URLError) and isinstance(e.reason, ssl.SSLCertVerificationError):
                    raise told(
                        "its certificate is not to be believed: name one to believe by --ca-file", REFUSED
                    ) from e
                if time.monotonic() > until:
                    raise told(f"{self._url} does not answer: {type(e).__name__}", REFUSED) from e
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            time.sleep(pause_s)

    def _call(self, method: str, path: str, data: Any = None, headers: dict[str, str] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self._key}", **(headers or {})}
        request = urllib.request.Request(f"{self._url}{path}", data, headers, method=method)  # noqa: S310 - checked
        with urllib.request.urlopen(request, timeout=CALL_S, context=self._tls) as answer:  # noqa: S310
            return json.loads(answer.read())


def _problem(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"status {error.code}"


def _why(batch: Any) -> str:
    if batch["error"] is None:
        return "the batch was cancelled: run the same command again to go on"
    return f"the batch has failed: {batch['error']['detail']}"
