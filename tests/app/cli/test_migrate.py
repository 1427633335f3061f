from sqlalchemy import create_engine, inspect

from app.settings import Settings


def test_makes_the_database_and_may_be_repeated(onelook, home):
    for _ in range(2):
        assert onelook("migrate").exit_code == 0
    engine = create_engine(Settings(home=home).sqlalchemy_url())
    assert {"persons", "templates", "changes"} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_what_is_no_database_is_one_sentence(onelook, home):
    home.mkdir()
    (home / "onelook.db").write_bytes(b"no database, but long enough to be taken for one" * 100)
    result = onelook("migrate")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "Restore it from a backup" in result.stderr
