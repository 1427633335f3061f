import pytest

from app.errors import InvalidOption, NotEnded, QueueFull, UnknownJob


def test_goes_on_as_if_more_steps_had_been_asked_for(asked, claim, run, resume, find, read, whole, renderer):
    expected, job = whole(extra=4), asked()
    run(claim())
    more = resume(job.id, 4)
    assert (more.id != job.id, more.resumed_from, more.steps, more.step) == (True, job.id, 10, 6)
    assert (more.options["extra"], more.checkpoint["step"], more.digest != job.digest) == (4, 6, True)
    run(claim())
    assert renderer.states[-1] is not None
    assert read(more.id)[0] == expected
    assert find(job.id).job.status == "succeeded"


def test_can_be_gone_on_with_again_though_the_first_was_removed(asked, claim, run, resume, remove, read, whole):
    expected, job = whole(extra=5), asked()
    run(claim())
    second = resume(job.id, 2)
    remove(job.id)
    run(claim())
    third = resume(second.id, 3)
    run(claim())
    assert (third.steps, read(third.id)[0]) == (11, expected)


def test_one_that_was_cancelled_goes_on_to_its_end(asked, claim, run, resume, cancel, read, renderer, whole):
    expected, job = whole(), asked()
    renderer.before_step = lambda step: step == 4 and cancel(job.id)
    run(claim())
    renderer.before_step = lambda step: None
    again = resume(job.id, 0)
    assert (again.steps, again.step) == (6, 4)
    run(claim())
    assert read(again.id)[0] == expected


def test_one_that_was_cancelled_before_it_began_begins_anew(asked, claim, run, resume, cancel, find):
    job = asked()
    cancel(job.id)
    again = resume(job.id, 0)
    run(claim())
    assert (again.checkpoint, find(again.id).job.status) == (None, "succeeded")


def test_keeps_whom_it_shows_and_its_masks(asked, claim, run, resume, enrolled, find):
    enrolled("ann")
    job = asked(person_id="ann", masks=["d2hpdGU="])
    run(claim())
    more = resume(job.id, 1)
    assert (more.person_id, more.options["masks"]) == ("ann", job.options["masks"])
    run(claim())
    assert find(more.id).job.status == "succeeded"


def test_refuses_what_cannot_be_gone_on_with(asked, claim, run, resume, key, style_files):
    job = asked()
    with pytest.raises(NotEnded):
        resume(job.id, 1)
    run(claim())
    with pytest.raises(UnknownJob):
        resume(job.id, 1, key("k2"))
    with pytest.raises(InvalidOption) as refusal:
        resume(job.id, 0)
    assert refusal.value.option == "steps"
    for _ in range(5):
        asked()
    with pytest.raises(QueueFull):
        resume(job.id, 1)
    style_files.remove(job.id)
    with pytest.raises((UnknownJob, QueueFull)):
        resume(job.id, 1)
