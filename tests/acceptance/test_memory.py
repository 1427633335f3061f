"""The process does not grow with what it is asked. `python -m benchmarks.memory` is the long form."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

CLIENTS = 3
WARM_UP = 300
MEASURED = 750
MOST_GROWTH = 0.05
SIDES_PX = (96, 160, 240, 320, 400)


@pytest.mark.slow
def test_a_thousand_identifies_leave_the_resident_size_flat_after_the_first_three_hundred(server, photos, looks):
    assert server.post_picture("/enroll", looks(0), name="Somebody").status_code == 201
    pictures = [_resized(photo, side, form) for photo in photos for side in SIDES_PX for form in ("JPEG", "PNG")]

    def identify(number: int) -> int:
        return server.post_picture("/identify", pictures[number % len(pictures)]).status_code

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = set(pool.map(identify, range(WARM_UP)))
        before = _resident_bytes(server.pid)
        statuses |= set(pool.map(identify, range(MEASURED)))
        after = _resident_bytes(server.pid)
    # 422: a face that is too small to be found is an answer too.
    assert statuses <= {200, 422}
    assert 200 in statuses
    assert after <= (1 + MOST_GROWTH) * before


def _resized(photo: Image.Image, side: int, form: str) -> bytes:
    height = max(1, round(photo.height * side / photo.width))
    out = io.BytesIO()
    photo.resize((side, height)).save(out, form)
    return out.getvalue()


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("this system has no /proc")
    line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmRSS:"))
    return 1024 * int(line.split()[1])
