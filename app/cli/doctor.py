"""`onelook doctor`: looks at everything that a new user may have got wrong, and changes nothing."""

from collections.abc import Callable, Iterator
from functools import partial

import typer
from rich.console import Console
from rich.text import Text

from app.cli import home_checks, machine_checks, network_checks
from app.cli.finding import Finding, failure, ok
from app.cli.plainly import REFUSED, shown
from app.errors import Misconfigured, OnelookError
from app.settings import PREFIX, Settings

COLORS = {"OK": "green", "warning": "yellow", "failure": "red"}
LEAST_WIDTH = 100

MACHINE: tuple[tuple[str, Callable[[], Finding]], ...] = (
    ("Python", machine_checks.python),
    ("clock", machine_checks.clock),
    ("open files", machine_checks.open_files),
)
# In an order in which each check may rely on those before it.
BY_SETTINGS: tuple[tuple[str, Callable[[Settings], Finding]], ...] = (
    ("home", home_checks.home),
    ("disk space", home_checks.disk_space),
    ("master key", home_checks.master_key),
    ("keys of people", home_checks.person_keys),
    ("admin key", home_checks.admin_key),
    ("database", home_checks.database),
    ("search", home_checks.search),
    ("TLS", machine_checks.tls),
    ("port", machine_checks.port),
    ("torch", network_checks.torch_build),
    ("device", network_checks.device),
    ("weights", network_checks.weights),
    ("style weights", network_checks.style_weights),
    ("calibration", network_checks.calibration),
    ("templates", network_checks.templates),
)


def doctor() -> None:
    """Check everything that a new user may get wrong; 1 when something must be mended before the service can run."""
    console = Console(highlight=False, soft_wrap=True)
    failures = 0
    for name, finding in findings():
        line = Text(f"{finding.level:8}", style=COLORS[finding.level])
        console.print(line.append(f" {name}: {shown(finding.text)}", style="default"))
        failures += finding.level == "failure"
    if failures:
        typer.echo(f"{failures} of these must be mended", err=True)
        raise typer.Exit(REFUSED)


def findings() -> Iterator[tuple[str, Finding]]:
    """What is checked, and what was found; where the settings cannot be read, only what does not depend on them."""
    for name, look in MACHINE:
        yield name, _looked(look)
    try:
        settings = Settings.read()
    except Misconfigured as e:
        yield "settings", failure(f"{e.detail}; nothing else was checked")
        return
    given = sorted(settings.model_fields_set)
    names = ", ".join(f"{PREFIX}{name.upper()}" for name in given) or "none is set, all have their defaults"
    yield "settings", ok(names)
    for name, look_at in BY_SETTINGS:
        yield name, _looked(partial(look_at, settings))


def _looked(look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except OnelookError as e:
        return failure(e.detail)
    except OSError as e:
        return failure(f"{e.filename or 'a file'}: {e.strerror}")
    except Exception as e:  # a check that breaks is a finding too, and the others go on
        return failure(f"could not be checked: {type(e).__name__}")
