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
