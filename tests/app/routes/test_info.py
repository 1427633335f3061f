import dataclasses


def test_tells_what_runs_here(service, enrolled):
    enrolled("ann")
    body = service.call("GET", "/info", key=service.key("detect")).json()
    assert (body["model_id"], body["device"], body["precision"]) == ("model-a", "cpu", "float32")
    assert body["precision_why"]
    assert (body["search"], body["vectors_in_clear"]) == ("exact", False)
    assert (body["galleries"], body["index_seq"]) == ([{"id": "all", "persons": 1, "templates": 1}], 1)
    assert body["limits"]["max_image_bytes"] == 10 * 2**20


def test_calibration_tells_every_point_with_its_evidence(service):
    body = service.call("GET", "/calibration").json()
    assert (body["model_id"], len(body["verification"]), len(body["identification"])) == ("model-a", 3, 3)
    point = body["verification"][0]
    assert (point["threshold"], point["miss"], point["persons"], point["interval"]) == (0.4, 0.01, 100, [0.0, 0.02])


def test_an_engine_that_may_change_while_it_runs_is_asked_each_time(make_service, settings, parts):
    told = ["by graph"]
    about = dataclasses.replace(parts.about, search=lambda: told[-1], vectors_in_clear=True)
    service = make_service(settings, parts=dataclasses.replace(parts, about=about))
    assert service.call("GET", "/info").json()["search"] == "by graph"
    told.append("exactly")
    body = service.call("GET", "/info").json()
    assert (body["search"], body["vectors_in_clear"]) == ("exactly", True)


def test_the_queue_of_renders_is_told(service, send, jobs):
    assert service.call("GET", "/info").json()["style"] == {
        **{"workers": 1, "queued": 0, "running": 0, "oldest_queued_s": 0.0}
    }
    for _ in range(3):
        send()
    jobs.claim()
    told = service.call("GET", "/info").json()
    assert (told["style"]["queued"], told["style"]["running"]) == (2, 1)
    assert told["limits"]["style_queue"] == 64
