import os
import socket
from collections import Counter
from dataclasses import replace

import pytest
from pydantic import SecretStr

from app.cli import doctor, home_checks, machine_checks, network_checks
from app.cli.home import open_rows
from app.inference.calibration import keep
from app.settings import Settings
from models.measure.operating_points import read_calibrations
from models.weights import FOLDER, model_id


@pytest.fixture
def settings(home):
    return Settings(home=home)


@pytest.fixture
def started(settings):
    """A home as a first start leaves it."""
    with open_rows(settings):
        pass
    return settings


def with_(settings, **changed):
    return settings.model_copy(update=changed)


def test_finds_a_fresh_installation_in_order_and_changes_nothing(onelook, home, monkeypatch):
    monkeypatch.setenv("ONELOOK_PORT", "0")
    result = onelook("doctor")
    assert result.exit_code == 0, result.output
    names = [line.split(":")[0].split(maxsplit=1)[1] for line in result.stdout.splitlines()]
    expected = [name for name, _ in doctor.MACHINE] + ["settings"] + [name for name, _ in doctor.BY_SETTINGS]
    assert names == expected
    assert not home.exists()


def test_ends_with_1_and_says_how_many_must_be_mended(onelook, monkeypatch):
    monkeypatch.setattr(doctor, "MACHINE", (("Python", lambda: machine_checks.python((3, 8, 1))),))
    monkeypatch.setattr(doctor, "BY_SETTINGS", (("disk", lambda settings: 1 / 0),))
    result = onelook("doctor")
    assert result.exit_code == 1
    assert result.stderr == "2 of these must be mended\n"
    assert Counter(line.split()[0] for line in result.stdout.splitlines()) == {"failure": 2, "OK": 1}


def test_settings_that_cannot_be_read_are_a_finding(onelook, monkeypatch):
    monkeypatch.setenv("ONELOOK_PROT", "1")
    result = onelook("doctor")
    assert (result.exit_code, "ONELOOK_PROT: no such setting" in result.stdout) == (1, True)


@pytest.mark.parametrize(("version", "level"), [((3, 10, 9), "failure"), ((3, 11, 0), "OK"), ((3, 14, 0), "failure")])
def test_knows_the_pythons_that_are_supported(version, level):
    assert machine_checks.python(version).level == level


def test_finds_a_clock_that_lies_behind_the_files(tmp_path):
    file = tmp_path / "file"
    file.touch()
    written = file.stat().st_mtime
    assert machine_checks.clock(written - 3600, file).level == "failure"
    assert machine_checks.clock(written + 1, file).level == "OK"


def test_finds_a_taken_port(settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        finding = doctor._looked(lambda: machine_checks.port(with_(settings, port=other.getsockname()[1])))
    assert finding.level == "failure"
    assert "is taken" in finding.text


def test_finds_a_certificate_without_its_key_and_one_that_ended(settings, certificate, ended_certificate):
    def look(cert, key):
        return doctor._looked(lambda: machine_checks.tls(with_(settings, tls_cert=cert, tls_key=key)))

    assert look(*certificate).level == "OK"
    assert look(certificate[0], ended_certificate[1]).level == "failure"
    assert "get a new one" in look(*ended_certificate).text
    assert look(*ended_certificate).level == "failure"


def test_finds_a_tls_key_that_others_can_read(settings, certificate, tmp_path):
    key = tmp_path / "key.pem"
    key.write_bytes(certificate[1].read_bytes())
    key.chmod(0o644)
    assert machine_checks.tls(with_(settings, tls_cert=certificate[0], tls_key=key)).level == "warning"


def test_finds_a_home_that_others_can_open(started, home):
    assert home_checks.home(started).level == "OK"
    home.chmod(0o755)
    assert home_checks.home(started).level == "warning"


def test_finds_a_home_that_is_a_file(settings, home):
    home.write_text("")
    assert home_checks.home(settings).level == "failure"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_finds_a_home_that_cannot_be_written(started, home):
    home.chmod(0o500)
    assert home_checks.home(started).level == "failure"
    home.chmod(0o700)


def test_finds_a_master_key_that_is_missing_open_or_cut_short(started, home):
    path = home / "keys" / "master.key"
    assert home_checks.master_key(started).level == "warning"
    path.chmod(0o640)
    assert home_checks.master_key(started).level == "failure"
    path.chmod(0o600)
    path.write_bytes(b"short")
    assert home_checks.master_key(started).level == "failure"
    path.unlink()
    assert home_checks.master_key(started).level == "failure"


def test_finds_a_master_key_beside_the_database_and_a_rotation_that_has_not_ended(started, home, tmp_path):
    path = home / "keys" / "master.key"
    assert "lies beside the database" in home_checks.master_key(started).text
    elsewhere = tmp_path / "elsewhere" / "master.key"
    elsewhere.parent.mkdir()
    path.rename(elsewhere)
    moved = with_(started, master_key_file=elsewhere)
    assert home_checks.master_key(moved).level == "OK"
    with open_rows(moved) as store:
        store.vault.ring.add()
    finding = home_checks.master_key(moved)
    assert (finding.level, "`onelook keys rotate`" in finding.text) == ("warning", True)
    given = with_(started, master_key=SecretStr(elsewhere.read_text().replace("\n", ",")))
    assert home_checks.master_key(given).text.startswith("ONELOOK_MASTER_KEY holds 2 keys")
    on_server = with_(started, master_key_file=elsewhere, database_url="postgresql://onelook@db.example/onelook")
    assert home_checks.person_keys(on_server).level == "warning"
    assert home_checks.person_keys(with_(on_server, keys_url="postgresql://k@keys.example/k")).level == "OK"


def test_finds_keys_of_people_that_others_can_read_or_that_are_gone(started, home, pictures):
    assert home_checks.person_keys(started).level == "OK"
    path = home / "keys" / "people.db"
    path.chmod(0o640)
    assert home_checks.person_keys(started).level == "failure"
    path.chmod(0o600)
    enrol(started, pictures, "tpl_1", "some-model")
    for file in (home / "keys").glob("people.db*"):
        file.unlink()
    finding = doctor._looked(lambda: network_checks.templates(started))
    assert (finding.level, "put them back" in finding.text) == ("failure", True)


def test_finds_an_admin_key_that_others_can_read(started, home):
    (home / "admin.key").touch(0o600)
    assert home_checks.admin_key(started).level == "OK"
    (home / "admin.key").chmod(0o644)
    assert home_checks.admin_key(started).level == "failure"


def test_finds_a_database_that_is_older_newer_or_damaged(started, home):
    from sqlalchemy import create_engine

    def set_revision(text):
        engine = create_engine(started.sqlalchemy_url())
        with engine.begin() as connection:
            connection.exec_driver_sql(text)
        engine.dispose()

    assert home_checks.database(started).level == "OK"
    set_revision("UPDATE alembic_version SET version_num = '9999'")
    assert home_checks.database(started).level == "failure"
    set_revision("DELETE FROM alembic_version")
    assert home_checks.database(started).level == "warning"
    for file in home.glob("onelook.db*"):
        file.unlink()
    (home / "onelook.db").write_bytes(b"no database, but long enough to be taken for one" * 100)
    assert home_checks.database(started).level == "failure"


def test_finds_a_postgresql_that_answers_and_one_that_does_not(settings, postgres_url):
    answering = with_(settings, database_url=postgres_url)
    assert home_checks.database(answering).level == "OK"
    away = with_(settings, database_url="postgresql://onelook:sesame@127.0.0.1:1/onelook")
    finding = home_checks.database(away)
    assert finding.level == "failure"
    assert "127.0.0.1:1" in finding.text
    assert "sesame" not in finding.text + repr(away)


def enrol(settings, pictures, template_id, model):
    from app.clock import SystemClock
    from app.domain.person import Person, Template

    now, face = SystemClock().now(), pictures.face("ada")
    with open_rows(settings) as store, store.write() as uow:
        if uow.people.get("ada") is None:
            uow.people.add(Person("ada", "Ada", now, now))
        uow.templates.add(Template(template_id, "ada", model, face.quality, now, face.embedding))
        uow.commit()


def serve(settings, model):
    from app.domain.model import Served

    with open_rows(settings) as store, store.write() as uow:
        uow.models.serve(Served(model))
        uow.commit()


def test_says_that_another_model_is_wanted_than_the_one_that_is_served(started, pictures):
    from models.weights import model_id

    enrol(started, pictures, "tpl_1", model_id(started.model, flip=False))
    finding = network_checks.templates(started)
    assert (finding.level, "onelook reembed" in finding.text) == ("warning", True)
    assert model_id(started.model, flip=True) in finding.text


def test_finds_templates_of_another_model_and_of_another_master_key(started, home, pictures):
    from models.weights import model_id

    active = model_id(started.model, flip=started.flip_averaging)
    assert network_checks.templates(started).level == "OK"
    enrol(started, pictures, "tpl_1", "other-model")
    finding = network_checks.templates(started)
    assert (finding.level, "the weights of other-model are not here" in finding.text) == ("failure", True)
    enrol(started, pictures, "tpl_2", active)
    finding = network_checks.templates(started)
    assert (finding.level, "mixed" in finding.text) == ("failure", True)
    serve(started, active)
    finding = network_checks.templates(started)
    assert (finding.level, "1 of 2 are not of" in finding.text) == ("warning", True)
    (home / "keys" / "master.key").write_bytes(bytes(32))
    finding = doctor._looked(lambda: network_checks.templates(started))
    assert finding.level == "failure"
    assert "put the right keys/master.key back" in finding.text


def test_finds_a_device_that_is_not_there(settings, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert network_checks.device(with_(settings, device="cuda")).level == "failure"
    assert network_checks.device(settings).level == "OK"


def test_finds_another_torch_than_the_one_that_is_asked_for(settings, monkeypatch):
    assert network_checks.torch_build(settings).level == "OK"
    monkeypatch.setattr("torch.__version__", "2.12.0+cpu")
    assert "pip install torch==2.13.0" in network_checks.torch_build(settings).text


def test_finds_the_network_that_renders_and_says_where_it_is_damaged(settings, monkeypatch, tmp_path):
    assert "answers as it should" in network_checks.style_weights(settings).text
    from models.style import perceptual

    (tmp_path / "vgg19.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(perceptual, "FOLDER", tmp_path)
    perceptual.shipped.cache_clear()
    try:
        found = network_checks.style_weights(settings)
    finally:
        perceptual.shipped.cache_clear()
    assert found.level == "failure"


def test_finds_weights_that_compute_nonsense(settings, monkeypatch):
    import torch

    from models import weights

    def scrambled(name):
        network = load(name)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        return network

    load = weights.load_encoder
    assert network_checks.weights(settings).level == "OK"
    monkeypatch.setattr(weights, "load_encoder", scrambled)
    assert network_checks.weights(settings).level == "failure"


def test_finds_a_model_without_thresholds(settings, monkeypatch, tmp_path):
    monkeypatch.setattr("models.weights.calibration_of", lambda name: tmp_path / f"{name}.calibration.json")
    finding = doctor._looked(lambda: network_checks.calibration(settings))
    assert finding.level == "failure"
    assert "onelook evaluate operating-points" in finding.text


def test_says_whose_thresholds_are_served(settings):
    assert network_checks.calibration(settings).text.endswith("as shipped")
    model = model_id("onelook", flip=settings.flip_averaging)
    measured = read_calibrations(FOLDER / "onelook.calibration.json")[model]
    keep(settings.home, replace(measured, sample=replace(measured.sample, name="our door")))
    assert network_checks.calibration(settings).text.endswith("of this home's own photos (our door)")


def test_warns_of_vectors_in_clear(settings):
    assert home_checks.search(settings).level == "OK"
    in_clear = home_checks.search(with_(settings, search="pgvector"))
    assert (in_clear.level, "in clear" in in_clear.text) == ("warning", True)
