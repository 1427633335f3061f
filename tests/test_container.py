"""The container files fit the tree and the code; nothing here needs Docker."""

import http.server
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

import app.cli
from app.routes import access
from app.settings import PREFIX, Settings
from app.store.migrate import migrate
from app.store.postgres.failover import servers_of
from benchmarks.postgres_server import free_port

SERVICES = {"onelook", "onelook2"}
DATABASES = ["database", "database2"]


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Any]:
    return yaml.safe_load((root / "docker-compose.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def instructions(root: Path) -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, argument), comments and line breaks taken out."""
    text = (root / "Dockerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines()
    return [(name.upper(), rest) for name, _, rest in (line.partition(" ") for line in joined)]


@pytest.fixture
def live() -> Iterator[tuple[int, list[str]]]:
    """A service that says it is alive: its port, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/health/live" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_port, asked
        server.shutdown()
        thread.join()


def test_everything_that_is_copied_is_there_and_is_let_into_the_build(instructions, root):
    let_in = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [path for name, rest in instructions if name == "COPY" for path in _sources(rest)]
    assert {"app", "models", "migrations"} <= set(copied)
    for path in copied:
        assert (root / path).exists(), path
        assert path.split("/")[0] in let_in, path


def test_what_the_distribution_needs_to_be_built_is_copied(instructions, root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    copied = {path for name, rest in instructions if name == "COPY" for path in _sources(rest)}
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {"pyproject.toml", project["project"]["readme"], "LICENSE"} <= copied


def test_every_file_that_the_models_read_is_in_the_distribution(root):
    """Without it an installation that is not editable would not start."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["models"]
    packed = {file for pattern in patterns for file in (root / "models").glob(pattern)}
    held = {file for file in (root / "models" / "weights").iterdir() if file.is_file() and file.suffix != ".py"}
    assert sorted(file.name for file in held - packed) == []


def test_it_does_not_run_as_root(instructions):
    stage = instructions[[i for i, (name, _) in enumerate(instructions) if name == "FROM"][-1] :]
    users = [rest for name, rest in stage if name == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert [name for name, _ in stage].index("USER") < [name for name, _ in stage].index("CMD")


def test_the_home_outlives_the_container(instructions, compose):
    home = _environment(instructions)["ONELOOK_HOME"]
    assert ("VOLUME", home) in instructions
    service = compose["services"]["onelook"]
    assert service["environment"]["ONELOOK_HOME"] == home
    named = {volume.split(":")[1]: volume.split(":")[0] for volume in service["volumes"]}
    assert named[home] in compose["volumes"]


def test_every_setting_that_is_named_exists(instructions, compose, root):
    named = set(_environment(instructions)) | set(compose["services"]["onelook"]["environment"])
    for file in ("docker-compose.yml", "Dockerfile", "docker/alive.py", "docker/Caddyfile"):
        named |= set(re.findall(rf"\b{PREFIX}[A-Z_]+\b", (root / file).read_text(encoding="utf-8")))
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    assert {name for name in named if name.startswith(PREFIX)} <= known


def test_the_composed_service_may_start_and_the_bare_image_may_not(instructions, compose):
    from app.errors import Misconfigured

    image = {name: value for name, value in _environment(instructions).items() if name.startswith(PREFIX)}
    with pytest.raises(Misconfigured, match="ONELOOK_TRUSTED_PROXIES"):
        Settings.read(image)
    settings = Settings.read({**image, **compose["services"]["onelook"]["environment"]})
    assert settings.host == "0.0.0.0"
    assert settings.port == 8000


def test_only_the_proxy_is_believed_and_only_the_proxy_is_reached(compose):
    service, proxy = compose["services"]["onelook"], compose["services"]["proxy"]
    address = proxy["networks"]["inside"]["ipv4_address"]
    inside = compose["networks"]["inside"]
    assert json.loads(service["environment"]["ONELOOK_TRUSTED_PROXIES"]) == [address]
    assert ip_address(address) in ip_network(inside["ipam"]["config"][0]["subnet"])
    assert inside["internal"] is True
    assert set(service["networks"]) == {"inside"}
    assert "ports" not in service
    assert [port.split(":")[-1] for port in proxy["ports"]] == ["443"]


def test_the_proxy_leads_to_the_service(compose, root):
    text = (root / "docker" / "Caddyfile").read_text(encoding="utf-8")
    behind = re.findall(r"(\w+):(\d+)", re.search(r"^\s*reverse_proxy (.+) {$", text, re.MULTILINE).group(1))
    assert {name for name, _ in behind} == SERVICES <= set(compose["services"])
    assert {int(port) for _, port in behind} == {Settings.model_fields["port"].default}
    assert set(compose["services"]["proxy"]["depends_on"]) == SERVICES
    (probed,) = re.findall(r"health_uri (\S+)", text)
    assert f"GET {probed}" in access.TABLE
    assert "tls internal" in text
    assert text.count("{") == text.count("}")
    assert set(re.findall(r"\{\$(\w+):", text)) == set(compose["services"]["proxy"]["environment"])
    mounted = [volume.split(":")[0] for volume in compose["services"]["proxy"]["volumes"]]
    assert [path for path in mounted if path.startswith("./") and not (root / path).is_file()] == []


def test_every_volume_and_network_that_is_used_is_declared(compose):
    for service in compose["services"].values():
        volumes = [volume.split(":")[0] for volume in service["volumes"]]
        assert {name for name in volumes if not name.startswith(".")} <= set(compose["volumes"])
        assert set(service["networks"]) <= set(compose["networks"])


def test_the_container_waits_longer_than_the_service_does(compose):
    grace = compose["services"]["onelook"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > Settings.model_fields["shutdown_grace_s"].default


def test_both_of_the_service_have_the_same_home_and_the_same_two_databases(compose):
    one, other = (compose["services"][name] for name in sorted(SERVICES))
    assert {**one, "depends_on": None} == {**other, "depends_on": None}
    servers = servers_of(
        one["environment"]["ONELOOK_DATABASE_URL"].replace("${DATABASE_PASSWORD:?put it into .env}", "p")
    )
    assert [server["host"] for server in servers] == DATABASES
    for name in DATABASES:
        database = compose["services"][name]
        assert "ports" not in database
        assert set(database["networks"]) == {"inside"}


def test_renders_are_made_apart_from_the_doors_with_a_smaller_share_of_the_processor(compose):
    style, door = compose["services"]["style"], compose["services"]["onelook"]
    assert style["command"] == ["onelook", "work"]
    assert "work" in {command.name or command.callback.__name__ for command in app.cli.app.registered_commands}
    assert style["cpu_shares"] < 1024  # what whoever says nothing has
    assert "cpu_shares" not in door
    assert door["environment"]["ONELOOK_STYLE_WORKERS"] == "0"
    for name in ("environment", "volumes", "networks"):
        assert style[name] == door[name]
    # The image's own asks a port that nobody listens on here.
    assert style["healthcheck"] == {"disable": True}


def test_no_password_stands_in_the_files(compose, root):
    passwords = [
        value
        for service in compose["services"].values()
        for name, value in service.get("environment", {}).items()
        if "PASSWORD" in name
    ]
    assert len(passwords) == 3
    assert all(re.fullmatch(r"\$\{\w+:\?put it into \.env\}", password) for password in passwords)
    assert "/.env" in (root / ".gitignore").read_text(encoding="utf-8").split()


def test_the_scripts_of_the_databases_make_a_primary_and_a_standby_that_confirms(compose, postgres_servers, root):
    """The very scripts, with the very programs, though without the containers."""
    primary = postgres_servers.primary("scripted")
    data, port = postgres_servers.folder / "scripted2", free_port()
    here = {"PGHOST": "127.0.0.1", "PGPORT": str(primary.port)}
    # What the image adds to it.
    added = {"POSTGRES_USER": "postgres", "POSTGRES_DB": "postgres", "PGDATA": str(primary.data)}
    given = dict.fromkeys(compose["services"]["database"]["environment"], "secret")
    text = (root / "docker" / "database-primary.sh").read_text(encoding="utf-8")
    assert postgres_servers.script(text, {**given, **added, **here}).wait(30) == 0
    primary.stop()
    primary.start()
    given = {**compose["services"]["database2"]["environment"], "PGPASSWORD": "secret", "PGDATA": str(data)}
    text = (root / "docker" / "database-standby.sh").read_text(encoding="utf-8")
    script = postgres_servers.script(text, {**given, **here}, ["-c", f"port={port}"])
    try:
        deadline = time.monotonic() + 30
        confirming = "SELECT application_name, usename, sync_state FROM pg_stat_replication"
        while primary.do(confirming) != [("database2", "standby", "sync")]:
            assert script.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # What the service does first, as the user that was made for it.
        migrate(f"postgresql://onelook:secret@127.0.0.1:{port},127.0.0.1:{primary.port}/onelook")
        standby = f"postgresql://onelook:secret@127.0.0.1:{port}/onelook"
        with psycopg.connect(standby) as connection:
            assert connection.execute("SELECT count(*) FROM persons").fetchone() == (0,)
            assert connection.execute("SHOW synchronous_standby_names").fetchone() == ("",)
    finally:
        script.send_signal(signal.SIGQUIT)
        script.wait(20)


def test_the_health_check_is_the_script_that_is_copied(instructions):
    command = next(rest for name, rest in instructions if name == "HEALTHCHECK").partition("CMD ")[2]
    copied = [shlex.split(rest)[-1] for name, rest in instructions if name == "COPY"]
    assert json.loads(command)[0] == "python"
    assert json.loads(command)[1] in copied


def test_a_service_that_answers_is_alive(live, root):
    port, asked = live
    assert _alive(root, port) == 0
    assert asked == ["/health/live"]


def test_a_service_that_does_not_answer_is_not(live, root):
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as closed:
        port = closed.server_port
    assert _alive(root, port) == 1


def _sources(copy: str) -> list[str]:
    words = shlex.split(copy)
    return [] if any(word.startswith("--from=") for word in words) else words[:-1]


def _environment(instructions: list[tuple[str, str]]) -> dict[str, str]:
    pairs = [pair for name, rest in instructions if name == "ENV" for pair in shlex.split(rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def _alive(root: Path, port: int) -> int:
    environment = {**os.environ, "ONELOOK_PORT": str(port)}
    script = [sys.executable, "-I", str(root / "docker" / "alive.py")]
    return subprocess.run(script, env=environment, timeout=30, check=False).returncode
