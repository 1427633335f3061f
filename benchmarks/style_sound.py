"""How near sound comes to its style, and whether what happens when stays where it was.

    python -m benchmarks.style_sound [--threads 1] [--seconds 3] [--again]

Four clips, cut to a few seconds, in each other's style with the options that a caller gets who gives none. Style
distance: the sum over layers of ||G_S - G_X||^2 / ||G_S||^2 of mean Gram matrices, of the content over that of the file
that comes out. Envelope: the correlation of content and result, RMS over 50 ms. Needs ../shared/data; what was rendered
is kept in build/style_sound, and rendered again only with --again.
"""

import argparse
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from PIL import Image

from benchmarks.machine import describe, machine
from benchmarks.report import report, table, verdict
from benchmarks.service import REPOSITORY
from models.style.options import Options
from models.style.plan import plan
from models.style.signal import Signal, open_signal
from models.style.tiles import mean_grams

CLIPS = REPOSITORY.parent / "shared" / "data" / "sound"
KEPT = REPOSITORY / "build" / "style_sound"
PICTURE = REPOSITORY / "docs" / "pictures" / "style-sound.jpg"
PAIRS = (
    ("female-talking", "johntejada-1"),
    ("johntejada-1", "female-talking"),
    ("male-taal", "beat-box-1"),
    ("beat-box-1", "male-taal"),
)
SHOWN = PAIRS[0]
BAR_STYLE, BAR_ENVELOPE, ENVELOPE_SECONDS = 20.0, 0.8, 0.05
PLENTY = 1 << 34


def main() -> None:
    """Renders, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--again", action="store_true", help="also what was rendered before")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    KEPT.mkdir(parents=True, exist_ok=True)
    facts, runs = machine(), []
    for content, style in PAIRS:
        path = KEPT / f"{content}-{style}-{asked.seconds:g}.json"
        if asked.again or not path.exists():
            path.write_text(json.dumps(rendered(content, style, asked.seconds)))
        runs.append(json.loads(path.read_text()))
        print(runs[-1], flush=True)
    draw(*SHOWN, asked.seconds)
    _tell(facts, asked.threads, asked.seconds, runs)


def rendered(content: str, style: str, seconds: float) -> dict[str, Any]:
    """One render, and what is measured of its file; the file stays beside."""
    files = clip(content, seconds), clip(style, seconds)
    start = time.perf_counter()
    *_, last = plan(files[0], [files[1]], Options()).render()
    result = last.result().content
    took = time.perf_counter() - start
    _path(content, style, seconds).write_bytes(result)
    return {
        "content": content,
        "style": style,
        "seconds": took,
        "evaluations": last.evaluations,
        "before": style_distance(files[0], files[1]),
        "after": style_distance(result, files[1]),
        "envelope": float(np.corrcoef(envelope(files[0]), envelope(result))[0, 1]),
        "channels": soundfile.info(io.BytesIO(files[0])).channels,
    }


def clip(name: str, seconds: float) -> bytes:
    """A WAV file of its beginning."""
    samples, rate = soundfile.read(CLIPS / f"{name}.wav", dtype="int16")
    out = io.BytesIO()
    soundfile.write(out, samples[: round(seconds * rate)], rate, format="WAV")
    return out.getvalue()


def style_distance(sound: bytes, style: bytes) -> float:
    """From one file to another, as the default render hears them, both equally loud."""
    signal = _opened(sound, style)
    hearing, layers = signal.hearing(), list(signal.options.layers or ())
    ours, theirs = (mean_grams(hearing, wave, layers) for wave in (signal.canvas(), signal.style_canvas(0)))
    return sum(float((theirs[n] - ours[n]).square().sum() / theirs[n].square().sum()) for n in layers)


def envelope(sound: bytes) -> "np.ndarray[Any, Any]":
    """RMS over all channels, in pieces of 50 ms."""
    samples, rate = soundfile.read(io.BytesIO(sound), always_2d=True)
    length = round(ENVELOPE_SECONDS * rate)
    pieces = samples[: len(samples) // length * length].reshape(-1, length * samples.shape[1])
    found: np.ndarray[Any, Any] = np.sqrt((pieces**2).mean(axis=1))
    return found


def draw(content: str, style: str, seconds: float) -> None:
    """Three spectrograms, one above the other: content, style, result."""
    files = clip(content, seconds), clip(style, seconds), _path(content, style, seconds).read_bytes()
    pictures = []
    for file in files:
        signal = _opened(file, file)
        pictures.append(Image.open(io.BytesIO(signal.preview(signal.canvas())[0])).resize((800, 150)))
    sheet = Image.new("RGB", (800, 3 * 150 + 2 * 6), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (0, number * 156))
    PICTURE.parent.mkdir(exist_ok=True)
    sheet.save(PICTURE, "JPEG", quality=70)


def _opened(content: bytes, style: bytes) -> Signal:
    return open_signal(content, [style], Options(), PLENTY)


def _path(content: str, style: str, seconds: float) -> Path:
    return KEPT / f"{content}-{style}-{seconds:g}.wav"


def _tell(facts: dict[str, Any], threads: int, seconds: float, runs: list[dict[str, Any]]) -> None:
    rows = [
        [
            f"{run['content']} in the style of {run['style']}",
            run["channels"],
            f"{run['seconds']:.1f}",
            f"{run['before']:.3f}",
            f"{run['after']:.4f}",
            f"{run['before'] / run['after']:.0f}",
            f"{run['envelope']:.3f}",
        ]
        for run in runs
    ]
    falls, kept = [run["before"] / run["after"] for run in runs], [run["envelope"] for run in runs]
    header = ["", "channels", "seconds", "style distance of the content", "of the result", "times less", "envelope"]
    text = (
        f"{describe(facts)}\n\n{threads} thread{'s' if threads > 1 else ''}; clips of {seconds:g} s; "
        + f"{Options().steps} steps.\n\n"
        + table(header, rows)
        + "\n\n"
        + verdict("least fall of the style distance", min(falls), BAR_STYLE)
        + "\n"
        + verdict("least correlation of envelopes", min(kept), BAR_ENVELOPE)
        + f"\n\n![Spectrograms of content, style and result](pictures/{PICTURE.name})\n\n"
        + f"From above: {SHOWN[0]}, {SHOWN[1]}, and the one in the style of the other.\n"
    )
    report("style_sound", {"machine": facts, "threads": threads, "clip_seconds": seconds, "runs": runs}, text)


if __name__ == "__main__":
    main()
