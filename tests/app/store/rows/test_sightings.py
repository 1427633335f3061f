from datetime import timedelta

import pytest

DAY = timedelta(days=1)


@pytest.fixture
def people(store, person, template, noon):
    """Four persons, enrolled, changed, given a template and seen a day after each other."""
    with store.write() as uow:
        for id_ in ("per_1", "per_2", "per_3", "per_4"):
            uow.people.add(person(id_))
        uow.people.replace(person("per_2", revision=2, updated_at=noon + DAY))
        uow.templates.add(template("tpl_3", "per_3", created_at=noon + 2 * DAY))
        uow.sightings.note({"per_4": noon + 3 * DAY})
        uow.commit()
    return store


def unseen(store, since, after=None, limit=10):
    with store.read() as uow:
        return uow.sightings.unseen(since, after=after, limit=limit)


def test_finds_who_was_neither_enrolled_nor_changed_nor_given_a_template_nor_seen_since(people, noon):
    everybody = ["per_1", "per_2", "per_3", "per_4"]
    for days in range(4):
        # Exactly then is not before then.
        assert unseen(people, noon + days * DAY) == everybody[:days]
        assert unseen(people, noon + days * DAY + timedelta(microseconds=1)) == everybody[: days + 1]


def test_one_person_is_unseen_exactly_when_the_list_would_name_them(people, noon):
    with people.read() as uow:
        for days in range(5):
            for since in (noon + days * DAY, noon + days * DAY + timedelta(microseconds=1)):
                named = unseen(people, since)
                ids = ("per_1", "per_2", "per_3", "per_4", "nobody")
                assert [id_ for id_ in ids if uow.sightings.is_unseen(id_, since)] == named


def test_pages_in_order_of_id(people, noon):
    late = noon + 9 * DAY
    assert unseen(people, late, limit=2) == ["per_1", "per_2"]
    assert unseen(people, late, after="per_2") == ["per_3", "per_4"]


def test_the_latest_sighting_counts_in_whatever_order_they_are_told(people, noon):
    with people.write() as uow:
        uow.sightings.note({"per_1": noon + 2 * DAY})
        uow.sightings.note({"per_1": noon + DAY, "per_4": noon + 5 * DAY})
        uow.commit()
    with people.read() as uow:
        assert uow.sightings.last("per_1") == noon + 2 * DAY
        assert uow.sightings.last("per_4") == noon + 5 * DAY
        assert uow.sightings.last("per_2") is None


def test_whoever_has_no_row_is_passed_over(people, noon):
    with people.write() as uow:
        uow.sightings.note({"nobody": noon, "per_1": noon + DAY})
        uow.commit()
    with people.read() as uow:
        assert uow.sightings.last("nobody") is None
        assert uow.sightings.last("per_1") == noon + DAY


def test_a_sighting_goes_with_its_person(people, noon):
    with people.write() as uow:
        uow.people.erase("per_4")
        uow.commit()
    with people.read() as uow:
        assert uow.sightings.last("per_4") is None
    assert "per_4" not in unseen(people, noon + 9 * DAY)
