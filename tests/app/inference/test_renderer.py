"""The real engine behind the port, on pictures of a few pixels."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from app import errors
from app.domain.style_job import OtherState
from app.inference.renderer import EngineRenderer
from models.style.plan import Limits


def picture(seed, size=(40, 32)):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


CONTENT, STYLE = picture(1), picture(2)
OPTIONS = {"steps": 4, "size": 40, "seed": 7}


@pytest.fixture(scope="module")
def engine():
    return EngineRenderer()


def steps_of(engine, options, state=None, beats=None):
    beat = (lambda: None) if beats is None else (lambda: beats.append(True))
    return engine.render(CONTENT, [STYLE], options, state=state, beat=beat)


def test_says_what_the_render_will_be(engine):
    checked = engine.check(CONTENT, [STYLE], OPTIONS)
    assert (checked.medium, checked.media_type, checked.steps) == ("picture", "image/png", 4)
    assert checked.scales >= 1
    assert checked.memory_bytes > 0
    assert checked.options["beta"] is not None
    assert checked.engine["loss_convention"] == "gatys2015"


def test_what_was_settled_settles_to_itself(engine):
    settled = engine.check(CONTENT, [STYLE], OPTIONS).options
    assert engine.check(CONTENT, [STYLE], settled).options == settled


@pytest.mark.parametrize(
    ("content", "options", "refusal"),
    [
        (b"no picture", {}, errors.UnsupportedMedia),
        (CONTENT[:200], {}, errors.UnreadableImage),
        (CONTENT, {"bta": 1}, errors.InvalidOption),
        (CONTENT, {"medium": "nothing"}, errors.InvalidOption),
    ],
)
def test_refuses_in_the_words_of_the_service(engine, content, options, refusal):
    with pytest.raises(refusal) as refused:
        engine.check(content, [STYLE], options)
    assert refused.value.detail


def test_names_the_size_that_fits():
    small = EngineRenderer(limits=Limits(memory_bytes=1200 << 20))
    with pytest.raises(errors.TooLarge) as refused:
        small.check(picture(1, (400, 300)), [STYLE], {"size": 16_000})
    assert 16 <= refused.value.fits < 16_000


def test_makes_a_picture_step_by_step_and_goes_on_exactly(engine):
    settled, beats = engine.check(CONTENT, [STYLE], OPTIONS).options, []
    whole = list(steps_of(engine, settled, beats=beats))
    assert [shown.step for shown in whole] == [1, 2, 3, 4]
    assert beats
    assert whole[-1].last_of_scale
    assert set(whole[0].losses) == {"total", "content", "style", "per_layer"}
    steps = steps_of(engine, settled)
    next(steps)
    state = next(steps).state()
    steps.close()
    for shown in steps_of(engine, settled, state):
        last = shown.result()
    assert Image.open(BytesIO(last.content)).size == (last.facts["width"], last.facts["height"]) == (40, 32)
    assert (last.media_type, last.suffix) == ("image/png", ".png")
    for shown in steps_of(engine, settled):
        expected = shown.result()
        preview, media_type = shown.preview()
    assert last.content == expected.content
    assert media_type in ("image/jpeg", "image/png")
    assert preview


def test_goes_on_beyond_its_end_where_more_steps_are_asked_for(engine):
    settled = engine.check(CONTENT, [STYLE], OPTIONS).options
    for shown in steps_of(engine, settled):
        state = shown.state()
    more = {**settled, "extra": 2}
    assert engine.check(CONTENT, [STYLE], more).steps == 6
    assert [shown.step for shown in steps_of(engine, more, state)] == [5, 6]


def test_a_state_of_another_render_is_refused(engine):
    settled = engine.check(CONTENT, [STYLE], OPTIONS).options
    state = next(steps_of(engine, settled)).state()
    with pytest.raises(OtherState):
        next(steps_of(engine, {**settled, "seed": 8}, state))
    with pytest.raises(OtherState):
        next(steps_of(engine, settled, b"no state"))


def test_what_the_beat_raises_passes_through(engine):
    class Stop(Exception):
        pass

    def stop():
        raise Stop

    with pytest.raises(Stop):
        next(engine.render(CONTENT, [STYLE], OPTIONS, state=None, beat=stop))


def test_tells_how_much_memory_was_used(engine):
    assert engine.peak_memory_bytes() > 1 << 20
