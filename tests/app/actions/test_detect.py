from app.actions.detect import Detect


def test_looks_thoroughly_and_makes_no_embedding(reader, pictures):
    reading = Detect(reader)(pictures.show(pictures.face("ann"), pictures.face("bob")))
    assert len(reading.faces) == 2
    assert reader.asked == [{"encode": "none", "thorough": True}]


def test_no_face_is_an_answer(reader, pictures):
    assert Detect(reader)(pictures.show()).faces == ()
