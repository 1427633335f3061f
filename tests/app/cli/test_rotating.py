import base64

from app.cli.home import open_rows
from app.domain.audit import AuditFilter
from app.settings import Settings
from app.store.vault.ring import read_keys


def enrol(settings, pictures):
    from app.clock import SystemClock
    from app.domain.person import Person, Template

    now, face = SystemClock().now(), pictures.face("ada")
    with open_rows(settings) as store, store.write() as uow:
        uow.people.add(Person("ada", "Ada", now, now))
        uow.templates.add(Template("tpl_1", "ada", "model", face.quality, now, face.embedding))
        uow.commit()
    return face.embedding.tobytes()


def held(settings):
    with open_rows(settings) as store, store.read() as uow:
        return [one.vector.tobytes() for one in uow.templates.of("ada")]


def test_seals_everything_anew_and_says_what_to_do_next(onelook, home, pictures):
    settings = Settings(home=home)
    vector = enrol(settings, pictures)
    (old,) = read_keys(home / "keys" / "master.key")
    result = onelook("keys", "rotate")
    assert result.exit_code == 0, result.output
    assert "1 templates are sealed anew" in result.stdout
    assert "copy the master key and the keys of people anew" in result.stderr
    (new,) = read_keys(home / "keys" / "master.key")
    assert new != old
    assert held(settings) == [vector]
    with open_rows(settings) as store, store.read() as uow:
        (row,) = uow.audit.page(AuditFilter(action="keys.rotated"), before=None, limit=9)
    assert (row.line.actor, row.line.facts["templates"]) == ("local", 1)
    told = (result.stdout + result.stderr).encode()
    assert not any(form in told for key in (old, new) for form in (key, key.hex().encode(), base64.b64encode(key)))


def test_says_how_given_keys_are_rotated(onelook, home, pictures, monkeypatch):
    old, new = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    monkeypatch.setenv("ONELOOK_MASTER_KEY", old)
    vector = enrol(Settings.read(), pictures)
    result = onelook("keys", "rotate")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ONELOOK_MASTER_KEY=<new>,<old>" in result.stderr
    assert old not in result.stderr
    monkeypatch.setenv("ONELOOK_MASTER_KEY", f"{new},{old}")
    result = onelook("keys", "rotate")
    assert result.exit_code == 0
    assert "take every other master key out of ONELOOK_MASTER_KEY now" in result.stderr
    monkeypatch.setenv("ONELOOK_MASTER_KEY", new)
    assert held(Settings.read()) == [vector]
    assert not (home / "keys" / "master.key").exists()
