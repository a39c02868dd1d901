"""The groups that links make."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tropho.data.audit.grouping import connected_ids, exact_duplicate_links


def test_components_join_chains_and_take_the_first_name():
    names = list("dcbaxy")
    links = [("d", "c"), ("b", "c"), ("x", "y")]
    assert connected_ids(names, links) == {"a": "a", "b": "b", "c": "b", "d": "b", "x": "x", "y": "x"}
    assert connected_ids(names, []) == {name: name for name in names}
    assert connected_ids([], []) == {}


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12), st.randoms())
def test_components_do_not_depend_on_order(links, random):
    names = [str(i) for i in range(10)]
    named = [(str(a), str(b)) for a, b in links]
    turned = [(b, a) for a, b in named]
    random.shuffle(turned)
    shuffled = random.sample(names, len(names))
    assert connected_ids(names, named) == connected_ids(shuffled, turned)


def test_equal_keys_link_and_empty_ones_do_not():
    names = pd.Series(["c", "b", "a", "e", "d"])
    keys = pd.Series(["k", "k", "k", None, None], dtype="string")
    assert sorted(exact_duplicate_links(names, keys)) == [("a", "b"), ("a", "c")]
