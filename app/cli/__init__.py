"""The command `onelook`: one file for each group of verbs. Heavy imports wait until a verb needs them."""

import typer

from app.cli import (
    audit,
    augmentations,
    backing_up,
    blend,
    calibrate,
    conv_shapes,
    detect,
    doctor,
    embed,
    enroll,
    evaluate,
    explain,
    identify,
    keys,
    layers,
    migrate,
    promise,
    quantise,
    reembed,
    retain,
    serve,
    share,
    style,
    train,
    verify,
    work,
)
from app.cli.plainly import Plainly

app = typer.Typer(
    name="onelook",
    help="Face recognition for office access control: one look enrols, one look answers. Settings: ONELOOK_...",
    cls=Plainly,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (
    serve.serve,
    work.work,
    migrate.migrate,
    enroll.enroll,
    verify.verify,
    identify.identify,
    detect.detect,
    explain.explain,
    layers.layers,
    conv_shapes.conv_shapes,
    embed.embed,
    doctor.doctor,
    backing_up.backup,
    backing_up.restore,
    reembed.reembed,
    retain.retain,
    calibrate.calibrate,
    promise.promise,
    train.train,
    augmentations.augmentations,
    blend.blend,
    quantise.quantise,
):
    app.command()(verb)
app.command(cls=style.StyleCommand)(style.style)
app.command(share.VERB, hidden=True)(share.serve_share)
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(evaluate.app, name="evaluate")


def main() -> None:
    """Runs the verb that the command line names, and ends the process: 0, 1 for what was refused, 2 for bad usage."""
    app()
