import numpy as np
import pytest

from app.domain.model import Embedded, LeftBehind, Served, Waiting
from app.errors import SealBroken, UnknownTemplate

OLD, NEW = "model", "model-next"


def crop(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (144, 144, 3), dtype=np.uint8)


def unit(seed):
    vector = np.random.default_rng(seed).normal(size=128)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture
def do(store):
    """Runs one method of one port in a transaction of its own."""

    def run(port, name, *args, **more):
        with store.write() as uow:
            answer = getattr(getattr(uow, port), name)(*args, **more)
            uow.commit()
        return answer

    return run


@pytest.fixture
def ask(store):
    def run(port, name, *args, **more):
        with store.read() as uow:
            return getattr(getattr(uow, port), name)(*args, **more)

    return run


@pytest.fixture
def enrol(store, person, template):
    """A person with templates, each with or without a crop."""

    def add(person_id, **templates):
        with store.write() as uow:
            uow.people.add(person(person_id))
            for id_, kept in templates.items():
                uow.templates.add(template(id_, person_id))
                if kept is not None:
                    uow.crops.keep(id_, kept)
            uow.commit()

    return add


def waiting(store, model=NEW):
    with store.read() as uow:
        return [one.template_id for one in uow.models.waiting(model, unreadable=pytest.fail)]


def test_nothing_is_served_before_it_was_said(store, do, ask):
    assert ask("models", "served") is None
    do("models", "serve", Served(OLD))
    assert ask("models", "served") == Served(OLD)
    do("models", "serve", Served(OLD, NEW))
    assert ask("models", "served") == Served(OLD, NEW)
    with store.read() as uow:
        assert [(c.kind, c.id, c.op) for c in uow.changes.since(0, 9)] == [("model", OLD, "update")] * 2


def test_a_crop_is_given_back_to_the_byte_and_shown_by_nothing(enrol, ask, store):
    enrol("per_1", tpl_1=crop(1), tpl_2=None)
    held = ask("crops", "of", "per_1")
    assert list(held) == ["tpl_1"]
    np.testing.assert_array_equal(held["tpl_1"], crop(1))
    assert not held["tpl_1"].flags.writeable
    assert "crop" not in repr(Waiting("tpl_1", crop(1)))
    assert (ask("crops", "count"), ask("crops", "count", "per_1"), ask("crops", "count", "per_2")) == (1, 1, 0)


def test_no_crop_of_a_template_that_is_not_there_is_kept(do):
    with pytest.raises(UnknownTemplate):
        do("crops", "keep", "tpl_1", crop())


def test_what_has_a_crop_waits_until_it_is_embedded(enrol, store, do, ask):
    enrol("per_1", tpl_b=crop(), tpl_a=crop(), tpl_c=None)
    assert waiting(store) == ["tpl_a", "tpl_b"]
    assert waiting(store, OLD) == []
    assert ask("models", "embedded", NEW) == (0, 2)
    assert do("models", "embed", NEW, [Embedded("tpl_a", unit(1)), Embedded("tpl_none", unit(2))]) == 1
    assert do("models", "embed", NEW, [Embedded("tpl_a", unit(3))]) == 0
    assert waiting(store) == ["tpl_b"]
    assert ask("models", "embedded", NEW) == (1, 2)
    assert ask("models", "embedded", OLD) == (3, 3)


def test_reads_more_waiting_crops_than_one_piece_holds(store, person, template):
    with store.write() as uow:
        uow.people.add(person())
        for number in range(130):
            uow.templates.add(template(f"tpl_{number:03}"))
            uow.crops.keep(f"tpl_{number:03}", crop())
        uow.commit()
    assert waiting(store) == [f"tpl_{number:03}" for number in range(130)]


def test_a_cut_over_makes_the_new_embeddings_the_templates(enrol, store, do, ask):
    enrol("per_1", tpl_1=crop(), tpl_2=None)
    do("models", "embed", NEW, [Embedded("tpl_1", unit(1))])
    before = {t.id: t for t in ask("templates", "of", "per_1")}
    assert do("models", "cut_over", NEW) == 1
    after = {t.id: t for t in ask("templates", "of", "per_1")}
    assert (after["tpl_1"].model_id, after["tpl_2"].model_id) == (NEW, OLD)
    np.testing.assert_array_equal(after["tpl_1"].vector, unit(1))
    np.testing.assert_array_equal(after["tpl_2"].vector, before["tpl_2"].vector)
    assert after["tpl_1"].quality == before["tpl_1"].quality
    assert list(ask("crops", "of", "per_1")) == ["tpl_1"]
    assert do("models", "forget_others", None) == 0
    assert waiting(store) == []
    assert waiting(store, OLD) == ["tpl_1"]


def test_nobody_is_left_behind_who_keeps_one_look(enrol, do, ask):
    enrol("per_a", a1=crop(), a2=None)
    enrol("per_b", b1=None)
    enrol("per_c", c1=crop())
    enrol("per_d", d1=None)
    served = Served(OLD, NEW)
    assert ask("models", "left_behind", served, with_crops=True, limit=9) == LeftBehind(2, ("per_b", "per_d"))
    assert ask("models", "left_behind", served, with_crops=True, limit=1) == LeftBehind(2, ("per_b",))
    do("models", "embed", NEW, [Embedded("a1", unit(1)), Embedded("d1", unit(2))])
    assert ask("models", "left_behind", served, with_crops=False, limit=9) == LeftBehind(2, ("per_b", "per_c"))
    do("models", "cut_over", NEW)
    # Who cannot be searched already is lost by no further cut-over.
    assert ask("models", "left_behind", Served(NEW, "third"), with_crops=True, limit=9) == LeftBehind(1, ("per_d",))
    assert ask("models", "left_behind", Served(NEW, OLD), with_crops=False, limit=9) == LeftBehind(1, ("per_d",))


def test_embeddings_of_a_model_that_is_given_up_are_forgotten(enrol, do, ask):
    enrol("per_1", tpl_1=crop())
    for model in (NEW, "third"):
        do("models", "embed", model, [Embedded("tpl_1", unit(1))])
    assert do("models", "forget_others", NEW) == 1
    assert (ask("models", "embedded", NEW), ask("models", "embedded", "third")) == ((1, 1), (0, 1))
    assert ask("crops", "count") == 1


def test_crops_and_embeddings_go_with_the_template_and_the_person(enrol, store, do, ask):
    enrol("per_1", tpl_1=crop(), tpl_2=crop())
    do("models", "embed", NEW, [Embedded("tpl_1", unit(1)), Embedded("tpl_2", unit(2))])
    do("templates", "remove", "per_1", "tpl_1")
    assert list(ask("crops", "of", "per_1")) == ["tpl_2"]
    assert ask("models", "embedded", NEW) == (1, 1)
    do("people", "erase", "per_1")
    assert ask("crops", "count") == 0
    assert do("models", "forget_others", None) == 0
    assert do("models", "embed", NEW, [Embedded("tpl_2", unit(2))]) == 0
    assert do("models", "cut_over", NEW) == 0


def test_they_follow_the_template_to_another_person(enrol, do, ask):
    enrol("per_1", tpl_1=crop(1))
    enrol("per_2", tpl_2=None)
    do("models", "embed", NEW, [Embedded("tpl_1", unit(1))])
    do("templates", "move", ["tpl_1"], "per_2")
    do("people", "withdraw", "per_1")
    np.testing.assert_array_equal(ask("crops", "of", "per_2")["tpl_1"], crop(1))
    do("models", "cut_over", NEW)
    moved = next(t for t in ask("templates", "of", "per_2") if t.id == "tpl_1")
    np.testing.assert_array_equal(moved.vector, unit(1))


def test_all_crops_can_be_forgotten(enrol, do, ask, store):
    enrol("per_1", tpl_1=crop())
    do("models", "embed", NEW, [Embedded("tpl_1", unit(1))])
    assert do("crops", "forget_all") == 1
    assert (ask("crops", "count"), ask("models", "embedded", NEW)) == (0, (1, 1))


def test_a_crop_that_was_altered_is_passed_over_and_said(sql_store, person, template, alter):
    with sql_store.write() as uow:
        uow.people.add(person())
        for id_ in ("tpl_1", "tpl_2"):
            uow.templates.add(template(id_))
            uow.crops.keep(id_, crop())
        uow.commit()
    alter("UPDATE template_parts SET sealed = zeroblob(37660) WHERE template_id = 'tpl_1'")
    unreadable = []
    with sql_store.read() as uow:
        found = [one.template_id for one in uow.models.waiting(NEW, unreadable=unreadable.append)]
        assert (found, unreadable) == (["tpl_2"], ["tpl_1"])
        with pytest.raises(SealBroken):
            uow.crops.of("per_1")


def test_a_part_cannot_be_given_to_another_template(sql_store, person, template, alter):
    with sql_store.write() as uow:
        uow.people.add(person())
        uow.people.add(person("per_2"))
        uow.templates.add(template("tpl_1"))
        uow.templates.add(template("tpl_2", "per_2"))
        uow.models.embed(NEW, [Embedded("tpl_1", unit(1))])
        uow.commit()
    alter("UPDATE template_parts SET template_id = 'tpl_2'")
    with sql_store.write() as uow:
        assert uow.models.cut_over(NEW) == 1
        with pytest.raises(SealBroken):
            uow.templates.of("per_2")


def test_a_rotation_seals_crops_and_embeddings_anew(sql_store, person, template):
    from app.store.vault.rotation import rotate

    with sql_store.write() as uow:
        uow.people.add(person())
        uow.templates.add(template())
        uow.crops.keep("tpl_1", crop(1))
        uow.models.embed(NEW, [Embedded("tpl_1", unit(1))])
        uow.commit()
    sealed = "SELECT key_id, sealed FROM template_parts ORDER BY part"
    with sql_store.read() as uow:
        before = uow.connection.exec_driver_sql(sealed).all()
    sql_store.vault.ring._path = None
    with sql_store.vault.database.reading() as rows:
        old = rows.current()
    add_master(sql_store.vault.ring)
    rotate(sql_store)
    with sql_store.vault.database.reading() as rows:
        assert rows.current() != old
    with sql_store.write() as uow:
        after = uow.connection.exec_driver_sql(sealed).all()
        assert {row.key_id for row in before}.isdisjoint({row.key_id for row in after})
        assert uow.sealed_rows.named([row.key_id for row in before]) == set()
        np.testing.assert_array_equal(uow.crops.of("per_1")["tpl_1"], crop(1))
        uow.models.cut_over(NEW)
        np.testing.assert_array_equal(uow.templates.of("per_1")[0].vector, unit(1))


def add_master(ring):
    """A new key before the one that the tests' vaults are made with."""
    ring._take([bytes(range(1, 33)), bytes(range(32))])
