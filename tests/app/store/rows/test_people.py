from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from app.errors import PersonExists, Stale, UnknownPerson
from app.ports import PersonFilter

ANYBODY = PersonFilter()


def test_gives_back_every_field_as_it_was_written(store, person, noon):
    written = person(
        external_id="E-7",
        metadata={"room": 12, "tags": ["a", None, {"b": 0.5}], "ü": "€"},
        groups=("staff", "night"),
        consent="works council agreement 4",
        active=False,
        face_opt_out=True,
        valid_from=noon,
        valid_until=noon + timedelta(days=3),
    )
    with store.write() as uow:
        uow.people.add(written)
        assert uow.people.get("per_1") == written
        uow.commit()
    with store.read() as uow:
        assert uow.people.get("per_1") == written
        assert uow.people.get("per_2") is None


def test_reads_times_as_utc_whatever_zone_they_were_written_in(store, person):
    in_delhi = datetime(2026, 3, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with store.write() as uow:
        uow.people.add(person(valid_from=in_delhi))
        uow.commit()
    with store.read() as uow:
        read = uow.people.get("per_1").valid_from
    assert read == datetime(2026, 3, 1, tzinfo=UTC)
    assert read.utcoffset() is not None


def test_refuses_a_taken_id_and_leaves_its_owner_alone(store, person):
    with store.write() as uow:
        uow.people.add(person())
        uow.commit()
    with store.write() as uow:
        with pytest.raises(PersonExists):
            uow.people.add(person(name="Somebody Else"))
        uow.commit()
    with store.read() as uow:
        assert uow.people.get("per_1").name == "Ada Lovelace"


def test_keeps_an_erased_id_taken_for_good(store, person):
    with store.write() as uow:
        uow.people.add(person())
        uow.people.erase("per_1")
        uow.commit()
    with store.write() as uow:
        with pytest.raises(PersonExists):
            uow.people.add(person(name="Somebody Else"))
        uow.commit()
    with store.read() as uow:
        assert uow.people.get("per_1") is None


def test_replaces_every_field_and_writes_it_to_the_feed(store, person, noon):
    with store.write() as uow:
        uow.people.add(person(metadata={"a": 1}))
        before = uow.commit()
    changed = person(name="Ada King", metadata={}, active=False, updated_at=noon + timedelta(hours=1), revision=2)
    with store.write() as uow:
        uow.people.replace(changed)
        uow.commit()
    with store.read() as uow:
        assert uow.people.get("per_1") == changed
        assert [(c.kind, c.id, c.op) for c in uow.changes.since(before, 10)] == [("person", "per_1", "update")]


def test_refuses_to_replace_a_row_that_changed_since_it_was_read(store, person):
    with store.write() as uow:
        uow.people.add(person())
        uow.people.replace(person(name="First", revision=2))
        uow.commit()
    with store.write() as uow:
        for revision in (1, 2, 4):
            with pytest.raises(Stale):
                uow.people.replace(person(name="Late", revision=revision))
        uow.commit()
    with store.read() as uow:
        assert uow.people.get("per_1").name == "First"
        assert uow.changes.head() == 1


def test_refuses_to_replace_nobody(store, person):
    with store.write() as uow, pytest.raises(UnknownPerson):
        uow.people.replace(person(revision=2))


def test_pages_in_order_of_id_and_misses_nobody(store, person):
    ids = [f"per_{n:02}" for n in (5, 3, 9, 1, 7)]
    with store.write() as uow:
        for id_ in ids:
            uow.people.add(person(id_))
        uow.commit()
    seen, after = [], None
    with store.read() as uow:
        while page := uow.people.page(ANYBODY, after=after, limit=2):
            assert len(page) <= 2
            seen += [p.id for p in page]
            after = page[-1].id
        assert uow.people.count() == 5
    assert seen == sorted(ids)


def test_sorts_ids_by_code_point_like_python(store, person):
    ids = ["Z", "a", "ä", "€", "\U0001f600", "10", "9"]
    with store.write() as uow:
        for id_ in ids:
            uow.people.add(person(id_))
        assert [p.id for p in uow.people.page(ANYBODY, after=None, limit=99)] == sorted(ids)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("ada", ["1"]),
        ("LOVE", ["1"]),
        ("straße", ["2"]),
        ("STRASSE", ["2"]),
        ("ÅSA", ["3"]),
        ("a\u030asa", ["3"]),
        ("100%", ["4"]),
        ("%", ["4"]),
        ("_", ["4"]),
        ("\\", ["4"]),
        ("", ["1", "2", "3", "4"]),
        ("nobody", []),
    ],
)
def test_finds_part_of_a_name_whatever_its_case(store, person, asked, found):
    with store.write() as uow:
        for id_, name in enumerate(["Ada Lovelace", "Jan Straße", "Åsa Berg", "100%_\\ Sure"], 1):
            uow.people.add(person(str(id_), name))
        assert [p.id for p in uow.people.page(PersonFilter(name=asked), after=None, limit=9)] == found


def test_finds_an_external_id_only_when_it_is_equal(store, person):
    with store.write() as uow:
        uow.people.add(person("per_1", external_id="E1"))
        uow.people.add(person("per_2", external_id="E12"))
        uow.people.add(person("per_3", external_id="E1", name="Grace"))
        which = PersonFilter(external_id="E1")
        assert [p.id for p in uow.people.page(which, after=None, limit=9)] == ["per_1", "per_3"]
        both = replace(which, name="grace")
        assert [p.id for p in uow.people.page(both, after=None, limit=9)] == ["per_3"]
        assert [p.id for p in uow.people.page(which, after="per_1", limit=9)] == ["per_3"]


def test_names_the_owners_of_templates_that_still_exist(store, person, template):
    with store.write() as uow:
        for id_ in ("per_1", "per_2"):
            uow.people.add(person(id_))
        uow.templates.add(template("tpl_1", "per_1"))
        uow.templates.add(template("tpl_2", "per_2"))
        uow.templates.add(template("tpl_3", "per_1"))
        uow.commit()
    with store.read() as uow:
        owners = uow.people.owners(["tpl_3", "tpl_2", "tpl_1", "tpl_9", "tpl_1"])
        assert {id_: owner.id for id_, owner in owners.items()} == {
            "tpl_1": "per_1",
            "tpl_2": "per_2",
            "tpl_3": "per_1",
        }
        assert owners["tpl_2"] == person("per_2")
        assert uow.people.owners([]) == {}


def test_erases_a_person_with_all_templates_and_says_so_in_the_feed(store, person, template):
    with store.write() as uow:
        for id_ in ("per_1", "per_2"):
            uow.people.add(person(id_))
        for id_, owner in (("tpl_1", "per_1"), ("tpl_2", "per_2"), ("tpl_3", "per_1")):
            uow.templates.add(template(id_, owner))
        before = uow.commit()
    with store.write() as uow:
        assert uow.people.erase("per_1") == 2
        assert uow.commit() == before + 3
    with store.read() as uow:
        assert uow.people.get("per_1") is None
        assert uow.templates.of("per_1") == []
        assert [t.id for t in uow.templates.of("per_2")] == ["tpl_2"]
        assert [(c.kind, c.id, c.op) for c in uow.changes.since(before, 10)] == [
            ("template", "tpl_1", "remove"),
            ("template", "tpl_3", "remove"),
            ("person", "per_1", "remove"),
        ]


def test_refuses_to_erase_nobody__nothing_changes(store, person, template):
    with store.write() as uow:
        uow.people.add(person())
        uow.templates.add(template())
        before = uow.commit()
    with store.write() as uow:
        with pytest.raises(UnknownPerson):
            uow.people.erase("per_9")
        assert uow.commit() == before
    with store.read() as uow:
        assert uow.templates.count() == 1


def test_a_caller_who_changes_what_it_got_does_not_change_what_is_stored(store, person):
    given = {"list": [1]}
    with store.write() as uow:
        uow.people.add(person(metadata=given))
        uow.commit()
    given["list"].append(2)
    with store.read() as uow:
        uow.people.get("per_1").metadata["list"].append(3)
        assert uow.people.get("per_1").metadata == {"list": [1]}
