import json

import pytest
from pydantic import ValidationError

from app.errors import Misconfigured
from app.settings import Settings


def test_the_defaults_listen_on_this_machine_alone():
    settings = Settings.read({})
    assert (settings.host, settings.port, str(settings.home)) == ("127.0.0.1", 8000, "var")


def test_reads_what_it_is_given_and_nothing_behind_its_back(monkeypatch):
    monkeypatch.setenv("ONELOOK_PORT", "1234")
    assert Settings.read({"ONELOOK_HOST": "::1", "onelook_metrics_allow": '["10.0.0.1"]'}).port == 8000
    assert Settings().port == 8000
    assert Settings.read().port == 1234


def test_an_unknown_name_is_an_error():
    with pytest.raises(Misconfigured, match="ONELOOK_PROT"):
        Settings.read({"ONELOOK_PROT": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ONELOOK_PORT", "secret"),
        ("ONELOOK_DEVICE", "secret"),
        ("ONELOOK_METRICS_ALLOW", "secret"),
        ("ONELOOK_MODEL", "../secret"),
    ],
)
def test_a_bad_value_is_told_by_its_name_and_without_the_value(name, value):
    with pytest.raises(Misconfigured) as refusal:
        Settings.read({name: value})
    assert name.removeprefix("ONELOOK_").lower() in str(refusal.value).lower()
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "::", "door.example"])
def test_other_machines_need_tls_or_a_proxy(host):
    with pytest.raises(Misconfigured, match="in clear"):
        Settings.read({"ONELOOK_HOST": host})
    assert Settings.read({"ONELOOK_HOST": host, "ONELOOK_TRUSTED_PROXIES": '["10.0.0.9"]'}).host == host
    assert Settings.read({"ONELOOK_HOST": host, "ONELOOK_TLS_CERT": "c.pem", "ONELOOK_TLS_KEY": "k.pem"}).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_neither(host):
    assert Settings.read({"ONELOOK_HOST": host}).host == host


@pytest.mark.parametrize("half", ["ONELOOK_TLS_CERT", "ONELOOK_TLS_KEY"])
def test_half_of_tls_is_an_error(half):
    with pytest.raises(Misconfigured, match="belong together"):
        Settings.read({half: "x.pem"})


def test_settings_do_not_change():
    with pytest.raises(ValidationError):
        Settings().port = 1


def test_the_database_lies_in_the_home_unless_it_is_named(tmp_path):
    assert Settings(home=tmp_path).sqlalchemy_url() == f"sqlite:///{tmp_path / 'onelook.db'}"
    assert Settings(database_url="sqlite:////x.db").sqlalchemy_url() == "sqlite:////x.db"


def test_the_keys_of_people_lie_outside_the_database_wherever_that_is(tmp_path):
    in_home = f"sqlite:///{tmp_path / 'keys' / 'people.db'}"
    assert Settings(home=tmp_path).vault_url() == in_home
    assert Settings(home=tmp_path, database_url="sqlite:////x.db").vault_url() == in_home
    on_server = "postgresql://onelook@db.example/onelook"
    assert Settings(home=tmp_path, database_url=on_server).vault_url() == on_server
    assert Settings(home=tmp_path, database_url=on_server, keys_url=in_home).vault_url() == in_home


def test_the_master_key_is_of_one_place_and_never_shown(tmp_path):
    settings = Settings.read({"ONELOOK_MASTER_KEY": "c2VzYW1l"})
    assert settings.master_key.get_secret_value() == "c2VzYW1l"
    assert not any("c2VzYW1l" in text for text in (repr(settings), str(settings), settings.model_dump_json()))
    assert Settings(home=tmp_path).master_key_path() == tmp_path / "keys" / "master.key"
    assert Settings(master_key_file=tmp_path / "x").master_key_path() == tmp_path / "x"
    both = {"ONELOOK_MASTER_KEY": "c2VzYW1l", "ONELOOK_MASTER_KEY_FILE": "x"}
    with pytest.raises(Misconfigured, match="exclude each other") as refusal:
        Settings.read(both)
    assert "c2VzYW1l" not in str(refusal.value)


@pytest.mark.parametrize("name", ["ONELOOK_TRUSTED_PROXIES", "ONELOOK_METRICS_ALLOW"])
@pytest.mark.parametrize("entry", ["*", "", "0.0.0.0/0", "::/0", "proxy", "10.0.0.5/8", " 10.0.0.5", "10.0.0.256"])
def test_a_list_of_machines_names_machines_and_not_everybody(name, entry):
    with pytest.raises(Misconfigured, match=f"{name}: .*each entry must be an IP address"):
        Settings.read({"ONELOOK_HOST": "0.0.0.0", name: json.dumps(["10.0.0.9", entry])})


def test_metrics_are_allowed_to_addresses_and_networks():
    settings = Settings.read({"ONELOOK_METRICS_ALLOW": '["10.1.2.0/24", "10.0.0.5", "fd00::/8"]'})
    allowed = ("10.1.2.3", "10.0.0.5", "fd00::1", "::ffff:10.0.0.5")
    assert [
        host
        for host in (*allowed, "10.1.3.1", "10.0.0.6", "fe80::1", "testclient", "")
        if settings.allows_metrics(host)
    ] == [*allowed]


def test_searching_in_the_database_needs_postgresql_and_standbys_need_that():
    url = "postgresql://onelook:sesame@db1/onelook"
    standbys = {"ONELOOK_REPLICA_URLS": '["postgresql://onelook:sesame@db2/onelook"]', "ONELOOK_DATABASE_URL": url}
    for environment in ({}, {"ONELOOK_DATABASE_URL": "sqlite:////x"}):
        with pytest.raises(Misconfigured, match="ONELOOK_SEARCH=pgvector needs PostgreSQL"):
            Settings.read({"ONELOOK_SEARCH": "pgvector", **environment})
    with pytest.raises(Misconfigured, match="set ONELOOK_SEARCH=pgvector too") as refusal:
        Settings.read(standbys)
    assert "sesame" not in str(refusal.value)
    with pytest.raises(Misconfigured, match="ONELOOK_SEARCH"):
        Settings.read({"ONELOOK_SEARCH": "hnsw"})
    settings = Settings.read({"ONELOOK_SEARCH": "pgvector", **standbys})
    assert len(settings.replica_urls) == 1
    assert "sesame" not in repr(settings)
    assert settings.digest() == settings.model_copy(update={"replica_urls": ()}).digest()
    assert settings.digest() != settings.model_copy(update={"search": "faiss"}).digest()


def test_workers_that_are_told_the_precision_that_the_first_one_chose_have_the_same_digest():
    assert Settings().digest() == Settings(precision="bfloat16").digest()
