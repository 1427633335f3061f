from datetime import timedelta

import numpy as np
import pytest

from app.errors import SealBroken, UnknownPerson
from app.store.rows import templates as sql_templates


def test_gives_back_every_field_and_every_bit_of_the_vector(store, person, template):
    written = template()
    with store.write() as uow:
        uow.people.add(person())
        uow.templates.add(written)
        uow.commit()
    with store.read() as uow:
        (read,) = uow.templates.of("per_1")
    assert read == written
    assert read.vector.dtype == np.float32
    assert read.vector.tobytes() == written.vector.tobytes()
    assert "vector" not in repr(read)


def test_a_stored_vector_cannot_be_changed_through_what_was_given_or_got(store, person, template):
    written = template()
    expected = written.vector.copy()
    with store.write() as uow:
        uow.people.add(person())
        uow.templates.add(written)
        uow.commit()
    written.vector[:] = 0
    with store.read() as uow:
        (read,) = uow.templates.of("per_1")
        with pytest.raises(ValueError, match="read-only"):
            read.vector[0] = 1
        np.testing.assert_array_equal(uow.templates.of("per_1")[0].vector, expected)


def test_lists_the_templates_of_a_person_oldest_first(store, person, template, noon):
    with store.write() as uow:
        uow.people.add(person())
        uow.templates.add(template("tpl_a", created_at=noon + timedelta(hours=2)))
        uow.templates.add(template("tpl_c", created_at=noon))
        uow.templates.add(template("tpl_b", created_at=noon))
        assert [t.id for t in uow.templates.of("per_1")] == ["tpl_b", "tpl_c", "tpl_a"]
        assert uow.templates.of("per_2") == []


def test_refuses_a_template_of_nobody(store, template):
    with store.write() as uow:
        with pytest.raises(UnknownPerson):
            uow.templates.add(template())
        assert uow.commit() == 0
    with store.read() as uow:
        assert uow.templates.count() == 0


def test_finds_by_id_what_still_has_a_row(store, person, template):
    with store.write() as uow:
        uow.people.add(person())
        for id_ in ("tpl_1", "tpl_2", "tpl_3"):
            uow.templates.add(template(id_))
        uow.templates.remove("per_1", "tpl_2")
        found = uow.templates.with_ids(["tpl_3", "tpl_2", "tpl_1", "tpl_3", "tpl_9"])
        assert sorted(t.id for t in found) == ["tpl_1", "tpl_3"]
        assert uow.templates.with_ids([]) == []


def test_iterates_over_one_model_in_pieces_and_misses_none(store, person, template, monkeypatch):
    monkeypatch.setattr(sql_templates, "_OF_MODEL", sql_templates._OF_MODEL.limit(3))
    with store.write() as uow:
        uow.people.add(person())
        for n in range(10):
            uow.templates.add(template(f"tpl_{n}", model_id="old" if n % 5 == 4 else "new"))
        uow.commit()
    with store.read() as uow:
        assert sorted(t.id for t in uow.templates.of_model("new")) == [f"tpl_{n}" for n in (0, 1, 2, 3, 5, 6, 7, 8)]
        assert sorted(t.id for t in uow.templates.of_model("old")) == ["tpl_4", "tpl_9"]
        assert list(uow.templates.of_model("none")) == []


def test_removes_a_template_only_of_the_person_named(store, person, template):
    with store.write() as uow:
        for id_ in ("per_1", "per_2"):
            uow.people.add(person(id_))
        uow.templates.add(template("tpl_1", "per_1"))
        assert not uow.templates.remove("per_2", "tpl_1")
        assert not uow.templates.remove("per_1", "tpl_2")
        assert uow.templates.count() == 1
        assert uow.templates.remove("per_1", "tpl_1")
        assert not uow.templates.remove("per_1", "tpl_1")
        uow.commit()
    with store.read() as uow:
        assert uow.templates.count() == 0
        assert [(c.kind, c.id, c.op) for c in uow.changes.since(0, 9)] == [
            ("template", "tpl_1", "add"),
            ("template", "tpl_1", "remove"),
        ]


def test_names_the_models_that_made_templates(store, person, template):
    with store.write() as uow:
        assert uow.templates.models() == frozenset()
        uow.people.add(person())
        uow.templates.add(template("tpl_a"))
        uow.templates.add(template("tpl_b", model_id="other-1"))
        assert uow.templates.models() == {template().model_id, "other-1"}


@pytest.mark.parametrize(
    "change", ["sealed = zeroblob(540)", "sealed = x'00'", "key_id = 'another'", "quality = '{}'", "quality = '[1]'"]
)
def test_leaves_out_what_cannot_be_opened_where_it_is_told_whom_to_tell(
    sql_store, alter, person, template, monkeypatch, change
):
    monkeypatch.setattr(sql_templates, "_OF_MODEL", sql_templates._OF_MODEL.limit(1))
    ids = [f"tpl_{n}" for n in range(4)]
    with sql_store.write() as uow:
        uow.people.add(person())
        for id_ in ids:
            uow.templates.add(template(id_))
        uow.commit()
    alter(f"UPDATE templates SET {change} WHERE id = 'tpl_2'")
    readable = ["tpl_0", "tpl_1", "tpl_3"]
    with sql_store.read() as uow:
        unreadable = []
        assert [t.id for t in uow.templates.of_model("model", unreadable=unreadable.append)] == readable
        assert sorted(t.id for t in uow.templates.with_ids(ids, unreadable=unreadable.append)) == readable
        assert unreadable == ["tpl_2", "tpl_2"]
        for read in (lambda: uow.templates.with_ids(ids), lambda: list(uow.templates.of_model("model"))):
            with pytest.raises(SealBroken, match="tpl_2"):
                read()
        with pytest.raises(SealBroken, match="tpl_2"):
            uow.templates.of("per_1")
