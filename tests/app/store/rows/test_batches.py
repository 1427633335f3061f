from datetime import timedelta

import pytest

from app.domain.batch import BatchItem, Outcome, Place
from app.domain.job import ENROLL_BATCH, Job

PLACE = Place(0, 40, 100, 70, 123456, True)


@pytest.fixture
def job(store, noon):
    """Two photos of Ada, one of Bob, in one batch."""
    items = [
        BatchItem(0, 0, "Ada/1.jpg", place=PLACE),
        BatchItem(1, 0, "Ada/2.jpg", place=Place(100, 140, 200, 60)),
        BatchItem(2, 2, "Bob/1.jpg"),
    ]
    with store.write() as uow:
        uow.jobs.add(Job("job_1", ENROLL_BATCH, "k1", "d", {}, 3, noon, noon + timedelta(days=1), 5))
        uow.batches.add("job_1", items)
        uow.commit()
    return items


@pytest.fixture
def do(store):
    def run(name, *args):
        with store.write() as uow:
            answer = getattr(uow.batches, name)(*args)
            uow.commit()
        return answer

    return run


@pytest.fixture
def enrolled(store, person, template):
    """Stores somebody with a template."""

    def make(person_id, template_id, **fields):
        with store.write() as uow:
            if uow.people.get(person_id) is None:
                uow.people.add(person(person_id, **fields))
            uow.templates.add(template(template_id, person_id))
            uow.commit()

    return make


def items(store, status=None, after=-1, limit=10):
    with store.read() as uow:
        return uow.batches.page("job_1", status=status, after=after, limit=limit)


def test_gives_back_what_was_added_in_pages(store, job):
    assert items(store) == job
    assert items(store, after=0, limit=1) == job[1:2]
    assert items(store, status="refused") == []
    with store.read() as uow:
        assert uow.batches.page("job_2", status=None, after=-1, limit=10) == []


def test_an_item_is_settled_once(store, do, job):
    refused = Outcome("refused", code="no_face", detail="none", members={"reasons": []})
    assert do("settle", "job_1", 1, refused) is True
    assert do("settle", "job_1", 1, Outcome("enrolled", "per_1", "tpl_1")) is False
    assert do("settle", "job_1", 9, refused) is False
    found = items(store, status="refused")
    assert [(i.number, i.code, i.detail, i.members, i.place) for i in found] == [
        (1, "no_face", "none", {"reasons": []}, job[1].place)
    ]
    with store.read() as uow:
        assert uow.batches.counts("job_1") == {"pending": 2, "refused": 1}
        assert (uow.batches.status("job_1", 1), uow.batches.status("job_1", 9)) == ("refused", None)
        assert uow.batches.numbers("job_1", "pending") == {0, 2}


def test_a_folder_stands_for_whoever_it_enrolled_as_long_as_that_look_is_kept(store, do, job, enrolled):
    enrolled("per_1", "tpl_1")
    do("settle", "job_1", 0, Outcome("enrolled", "per_1", "tpl_1"))
    with store.read() as uow:
        assert uow.batches.enrolled_as("job_1", 0) == "per_1"
        assert uow.batches.enrolled_as("job_1", 2) is None
    with store.write() as uow:
        uow.templates.remove("per_1", "tpl_1")
        uow.commit()
    with store.read() as uow:
        assert uow.batches.enrolled_as("job_1", 0) is None


def test_a_photo_is_known_as_long_as_its_template_is_stored(store, do, job, enrolled):
    enrolled("per_1", "tpl_1")
    do("note_photo", "tpl_1", "digest")
    with store.read() as uow:
        assert uow.batches.known_photo("digest") == ("tpl_1", "per_1")
        assert uow.batches.known_photo("other") is None
    with store.write() as uow:
        uow.people.erase("per_1")
        uow.commit()
    with store.read() as uow:
        assert uow.batches.known_photo("digest") is None


def test_erasing_blanks_every_photo_of_the_folder_the_waiting_ones_too(store, do, job, enrolled):
    enrolled("per_1", "tpl_1")
    do("settle", "job_1", 0, Outcome("enrolled", "per_1", "tpl_1"))
    assert do("erase", "per_1") == {ENROLL_BATCH: 2}
    assert items(store, status="erased") == [
        BatchItem(0, 0, "", "erased", place=PLACE),
        BatchItem(1, 0, "", "erased", place=job[1].place),
    ]
    assert items(store, status="pending") == job[2:]
    assert do("settle", "job_1", 1, Outcome("enrolled", "per_2", "tpl_2")) is False
    with store.read() as uow:
        assert uow.jobs.get("job_1").step == 1  # the one that waited counts as done
        assert uow.batches.erased_places("job_1") == {0: PLACE, 1: job[1].place}
    do("forget_places", "job_1", [0])
    with store.read() as uow:
        assert uow.batches.erased_places("job_1") == {1: job[1].place}
    assert do("erase", "per_1") == {}


def test_erasing_finds_a_folder_that_nothing_came_of_yet_by_its_name(store, do, job, enrolled):
    enrolled("per_1", "tpl_1", external_id="Ada")
    enrolled("per_2", "tpl_2")
    assert do("erase", "per_2") == {}
    assert do("erase", "per_1") == {ENROLL_BATCH: 2}
    assert [item.source for item in items(store)] == ["", "", "Bob/1.jpg"]


def test_erasing_finds_a_folder_whose_templates_were_moved_to_that_person(store, do, job, enrolled):
    enrolled("per_9", "tpl_1")
    do("settle", "job_1", 0, Outcome("enrolled", "per_1", "tpl_1"))
    assert do("erase", "per_9") == {ENROLL_BATCH: 2}


def test_of_others_only_what_looked_like_the_erased_is_blanked(store, do, job, enrolled):
    enrolled("per_1", "tpl_1")
    do("settle", "job_1", 0, Outcome("enrolled", "per_2", "tpl_2"))
    do("settle", "job_1", 1, Outcome("refused", "per_1", code="duplicate_person", members={"similarity": 0.9}))
    assert do("erase", "per_1") == {ENROLL_BATCH: 1}
    assert [(item.status, item.source) for item in items(store)] == [
        ("enrolled", "Ada/1.jpg"),
        ("erased", ""),
        ("pending", "Bob/1.jpg"),
    ]


def test_renewing_leaves_what_is_stored_or_erased(store, do, job, enrolled):
    enrolled("per_1", "tpl_1")
    do("settle", "job_1", 0, Outcome("enrolled", "per_1", "tpl_1"))
    do("settle", "job_1", 1, Outcome("enrolled", "per_1", "tpl_removed"))
    do("settle", "job_1", 2, Outcome("refused", code="no_face"))
    do("renew", "job_1", job)
    assert [item.status for item in items(store)] == ["enrolled", "pending", "pending"]
    do("erase", "per_1")
    do("renew", "job_1", job)
    assert [item.status for item in items(store)] == ["erased", "erased", "pending"]


def test_takes_many_items_at_once(store, do, job):
    with store.write() as uow:
        uow.batches.add("job_1", (BatchItem(number, number, f"line {number}") for number in range(3, 5003)))
        uow.commit()
    with store.read() as uow:
        assert uow.batches.counts("job_1") == {"pending": 5003}


def test_all_items_of_a_job_can_be_deleted(store, do, job):
    do("clear", "job_1")
    assert items(store) == []
