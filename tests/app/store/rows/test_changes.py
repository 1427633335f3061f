from app.domain.person import Change


def test_starts_empty(store):
    with store.read() as uow:
        assert uow.changes.head() == 0
        assert uow.changes.since(0, 10) == []


def test_lists_changes_in_order_behind_a_seq_and_within_a_limit(store, person, template):
    with store.write() as uow:
        uow.people.add(person())
        for n in range(5):
            uow.templates.add(template(f"tpl_{n}"))
        assert uow.commit() == 5
    with store.read() as uow:
        assert uow.changes.head() == 5
        assert uow.changes.since(0, 2) == [Change(1, "template", "tpl_0", "add"), Change(2, "template", "tpl_1", "add")]
        assert [c.seq for c in uow.changes.since(2, 99)] == [3, 4, 5]
        assert uow.changes.since(5, 99) == []


def test_never_goes_back_when_the_newest_thing_is_removed(store, person, template):
    with store.write() as uow:
        uow.people.add(person())
        uow.templates.add(template())
        uow.commit()
    with store.write() as uow:
        uow.templates.remove("per_1", "tpl_1")
        assert uow.commit() == 2
    with store.read() as uow:
        assert uow.changes.head() == 2


def test_shows_nothing_of_a_transaction_that_was_rolled_back(store, person, template):
    with store.write() as uow:
        uow.people.add(person())
        uow.templates.add(template())
        assert uow.changes.head() == 1
    with store.read() as uow:
        assert uow.changes.head() == 0
