import base64
import hashlib
from datetime import timedelta

import pytest

from app.actions.style.submit import Submission, with_masks
from app.errors import Erased, InvalidOption, QueueFull, TooLarge, UnknownPerson, UnreadableImage


def test_keeps_the_files_and_the_options_as_they_will_be_used(asked, style_files, store, time):
    job = asked(content=b"a", styles=(b"b", b"c"), steps=9)
    assert (job.status, job.steps, job.scales, job.medium, job.media_type) == ("queued", 9, 2, "picture", "image/png")
    assert job.options == {"steps": 9, "extra": 0, "seed": 0, "masks": []}
    assert job.input["content"] == {"bytes": 1, "sha256": hashlib.sha256(b"a").hexdigest()}
    assert [style["bytes"] for style in job.input["styles"]] == [1, 1]
    assert (job.created_at, job.expires_at) == (time.now, time.now + timedelta(days=1))
    assert {name: style_files.get(job.id, name) for name in style_files.names(job.id)} == {
        "content": b"a",
        "style-1": b"b",
        "style-2": b"c",
    }
    with store.read() as uow:
        assert uow.style_jobs.get(job.id) == job
        (event,) = uow.style_jobs.events(job.id, after=0, limit=9)
    assert (event.seq, event.type, event.data["status"], job.seq) == (1, "status", "queued", 1)


def test_the_same_files_and_options_have_the_same_digest_and_are_jobs_of_their_own(asked):
    first, second = asked(), asked()
    assert first.id != second.id
    assert first.digest == second.digest
    assert len({first.digest, asked(seed=1).digest, asked(content=b"x").digest, asked(styles=(b"x",)).digest}) == 4


def test_masks_lie_in_files(asked, style_files, store):
    mask = base64.b64encode(b"white").decode()
    job = asked(styles=(b"b", b"c"), masks=[None, mask])
    assert job.options["masks"] == [None, hashlib.sha256(b"white").hexdigest()]
    assert style_files.get(job.id, "mask-2") == b"white"
    assert "mask-2" in job.files
    assert with_masks(style_files, job)["masks"] == [None, mask]
    with pytest.raises(InvalidOption) as refusal:
        asked(masks=["no base64!"])
    assert refusal.value.option == "masks"


@pytest.mark.parametrize(
    ("asking", "refusal"),
    [
        ({"content": b"damaged"}, UnreadableImage),
        ({"size": 2000}, TooLarge),
        ({"steps": 0}, InvalidOption),
        ({"person_id": "nobody"}, UnknownPerson),
    ],
)
def test_what_cannot_be_rendered_is_refused_and_leaves_nothing(asked, style_files, store, asking, refusal):
    with pytest.raises(refusal):
        asked(**asking)
    assert style_files.held() == []
    with store.read() as uow:
        assert uow.style_jobs.page(owner=None, status=None, before=None, limit=9) == []


def test_a_queue_that_is_full_takes_no_more(asked, claim, style_files):
    jobs = [asked() for _ in range(5)]
    with pytest.raises(QueueFull) as refusal:
        asked(content=b"damaged")
    assert refusal.value.retry_after_s > 0
    assert style_files.held() == [job.id for job in jobs]
    claim()
    asked()


def test_a_queue_that_fills_up_meanwhile_takes_no_more(asked, renderer, style_files, monkeypatch):
    for _ in range(4):
        asked()
    check, nested = renderer.check, []

    def meanwhile(*given):
        if not nested:
            nested.append(True)
            asked()
        return check(*given)

    monkeypatch.setattr(renderer, "check", meanwhile)
    with pytest.raises(QueueFull):
        asked()
    assert len(style_files.held()) == 5


def test_nobody_renders_whom_an_erasure_has_removed(asked, enrolled, erase, renderer, monkeypatch, style_files):
    enrolled("ann")
    check = renderer.check

    def meanwhile(*given):
        erase("ann")
        return check(*given)

    monkeypatch.setattr(renderer, "check", meanwhile)
    with pytest.raises(Erased):
        asked(person_id="ann")
    assert style_files.held() == []


def test_what_comes_with_the_commit_comes_or_fails_with_it(submit, store, style_files):
    seen = []
    job = submit(Submission(b"a", [b"b"], {}), "k1", also=lambda uow, job: seen.append(job))
    assert seen == [job]

    def fail(uow, job):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        submit(Submission(b"a", [b"b"], {}), "k1", also=fail)
    assert style_files.held() == [job.id]


def test_a_disk_that_is_full_leaves_nothing(asked, style_files, monkeypatch):
    def full(job_id, name, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(style_files, "put", full)
    with pytest.raises(OSError, match="space"):
        asked()
    assert style_files.held() == []
