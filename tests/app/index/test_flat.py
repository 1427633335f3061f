import numpy as np

from app.index.flat import FlatIndex


def test_keeps_no_copy_of_a_removed_vector_in_its_memory(unit):
    index = FlatIndex()
    index.add(["a", "b", "c"], np.stack([unit(1), unit(2), unit(3)]))
    whole = index._rows.matrix()
    index.remove(["a", "c"])
    # The view still shows the memory that faiss keeps as spare capacity.
    np.testing.assert_array_equal(whole[0], unit(2))
    np.testing.assert_array_equal(whole[1:], 0)


def test_grows_again_after_it_shrank_to_nothing(unit):
    index = FlatIndex()
    for n in range(3):
        index.add([f"t{i}" for i in range(50)], np.stack([unit(100 * n + i) for i in range(50)]))
        assert index.search(unit(100 * n + 7), 1)[0].template_id == "t7"
        assert index.remove([f"t{i}" for i in range(50)]) == 50
        assert len(index) == 0
        assert index.search(unit(1), 1) == []
