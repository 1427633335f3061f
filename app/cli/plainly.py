"""What goes wrong is told in one sentence on standard error, never as a traceback."""

from typing import Any

import typer
from typer.core import TyperGroup

from app.errors import Misconfigured, OnelookError
from models.errors import LibraryError

REFUSED, UNUSABLE = 1, 2


class Plainly(TyperGroup):
    """The verbs, with every error turned into a sentence and a status: 2 for settings and usage, 1 for the rest."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb. Raises typer.Exit."""
        try:
            return super().invoke(ctx)
        except Misconfigured as e:
            raise told(e.detail, UNUSABLE) from e
        except OnelookError as e:
            raise told(sentence(e), REFUSED) from e
        except LibraryError as e:
            raise told(str(e) or (type(e).__doc__ or ""), REFUSED) from e
        except OSError as e:
            if isinstance(e, BrokenPipeError):
                raise
            raise told(f"{e.filename or 'a file'}: {e.strerror or type(e).__name__}", REFUSED) from e
        except Exception as e:
            if type(e).__module__.startswith(("typer", "click")):
                raise
            from app.routes.log import describe_fault

            # Without its text: that may hold what must not be shown.
            raise told(f"a fault of Onelook itself: {describe_fault(e)}", REFUSED) from e


def told(text: str, status: int) -> typer.Exit:
    """Writes `onelook: <text>` to standard error; the exit with that status, to be raised."""
    typer.echo(f"onelook: {shown(text)}", err=True)
    return typer.Exit(status)


def sentence(error: OnelookError) -> str:
    """What an error says, with the advice and the lookalikes that it carries."""
    from app.errors import DuplicatePerson, PoorQuality

    if isinstance(error, PoorQuality):
        return " ".join((f"{error.detail.split(':')[0]}.", *(reason.advice for reason in error.reasons)))
    if isinstance(error, DuplicatePerson):
        alike = ", ".join(f"{one.name} ({one.person_id}, similarity {one.similarity:.3f})" for one in error.lookalikes)
        return f"The face looks like somebody already enrolled: {alike}."
    return error.detail


def shown(text: str) -> str:
    """The text on one line, and without what a terminal would obey: names of files may hold anything."""
    return "".join(c if c.isprintable() else " " if c in "\r\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
