from app.cli.home import open_rows
from app.domain.person import Person, Template
from app.settings import Settings


def test_says_how_much_could_not_be_opened_and_nothing_where_all_could(onelook, home, pictures):
    from sqlalchemy import text

    from app.clock import SystemClock

    now, face = SystemClock().now(), pictures.face("ada")
    with open_rows(Settings(home=home)) as store, store.write() as uow:
        uow.people.add(Person("ada", "Ada", now, now))
        for id_ in ("tpl_1", "tpl_2"):
            uow.templates.add(Template(id_, "ada", "model", face.quality, now, face.embedding))
        uow.commit()
    result = onelook("backup", str(home / "first"))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 persons, 2 templates" in result.stdout
    with open_rows(Settings(home=home)) as store, store.write() as uow:
        uow.connection.execute(text("UPDATE templates SET sealed = zeroblob(540) WHERE id = 'tpl_2'"))
        uow.connection.commit()
    result = onelook("backup", str(home / "second"))
    assert result.exit_code == 0
    assert "1 persons, 1 templates" in result.stdout
    assert "1 persons or templates could not be opened" in result.stderr
