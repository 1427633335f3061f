import pytest


@pytest.fixture
def stale(in_memory, enrolled, clock):
    """A home in which one person was not seen for 40 days."""
    enrolled("ann")
    clock.move(days=35)
    enrolled("bob")
    clock.move(days=5)
    return in_memory.store


def people(store):
    with store.read() as uow:
        return [id_ for id_ in ("ann", "bob") if uow.people.get(id_) is not None]


def test_keeps_everything_unless_the_settings_say_otherwise(onelook, stale):
    answer = onelook("retain")
    assert answer.exit_code == 0
    assert "everything is kept" in answer.output
    assert people(stale) == ["ann", "bob"]


def test_a_dry_run_says_who_would_go(onelook, stale, monkeypatch):
    monkeypatch.setenv("ONELOOK_RETENTION_UNSEEN_DAYS", "30")
    answer = onelook("retain", "--dry-run")
    assert answer.stdout == "ann\n"
    assert "1 persons would be erased" in answer.stderr
    assert people(stale) == ["ann", "bob"]


def test_erases_and_lets_go(onelook, stale, monkeypatch):
    monkeypatch.setenv("ONELOOK_RETENTION_UNSEEN_DAYS", "30")
    monkeypatch.setenv("ONELOOK_RETENTION_AUDIT_DAYS", "30")
    answer = onelook("retain")
    assert (answer.exit_code, answer.stdout) == (0, "ann\n")
    assert "1 persons erased, 1 audit rows let go" in answer.stderr
    assert people(stale) == ["bob"]
