from app.assembly import life


def test_the_hourly_upkeep_deletes_answers_that_have_expired(make_service, monkeypatch, pictures, store, clock):
    given = []

    async def keep_up(*actions, **more):
        given.extend(actions)

    monkeypatch.setattr(life, "keep_up", keep_up)
    service = make_service()
    asked = {"files": {"image": ("photo.jpg", pictures.of("ann"), "image/jpeg")}, "data": {"name": "Ann"}}
    assert service.call("POST", "/enroll", headers={"Idempotency-Key": "a"}, **asked).status_code == 201
    clock.move(hours=24)
    retain, sign_head, sweep_answers = given
    assert (retain, sign_head) == (service.desk.retain, service.desk.sign_head)
    sweep_answers()
    assert store.committed.remembered == {}
