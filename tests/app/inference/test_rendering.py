import io
import subprocess
import sys

import pytest
import torch
from PIL import Image

from app.errors import TooLarge, UnsupportedMedia
from app.inference.rendering import RendererOnDemand


@pytest.fixture
def picture():
    out = io.BytesIO()
    Image.linear_gradient("L").resize((48, 32)).convert("RGB").save(out, "PNG")
    return out.getvalue()


def test_nothing_is_loaded_before_it_is_asked(root):
    script = "import sys, app.assembly.style as s; from app.settings import Settings; s.style_renderer(Settings())"
    script += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0


def test_a_render_has_the_threads_and_the_memory_that_it_may(picture):
    before = torch.get_num_threads()
    try:
        renderer = RendererOnDemand(0, 10_000_000, 1, 2)
        steps = renderer.render(picture, [picture], {"size": 32, "steps": 2}, state=None, beat=lambda: None)
        shown = next(steps)
        assert (shown.step, torch.get_num_threads()) == (1, 1)
        steps.close()
    finally:
        torch.set_num_threads(before)
    with pytest.raises(TooLarge) as refused:
        RendererOnDemand(1 << 28, 10_000_000, 1, 1).check(picture, [picture], {"size": 16_000})
    assert refused.value.fits < 16_000


def test_what_is_sent_is_looked_at_as_the_engine_does(picture):
    renderer = RendererOnDemand(0, 10_000_000, 0, 1)
    assert renderer.check(picture, [picture], {"size": 32, "steps": 3}).steps == 3
    with pytest.raises(UnsupportedMedia):
        renderer.check(b"no picture", [picture], {})
