"""The forms of the energy that several tests run over."""

from itertools import product

POWERS = (0, 0.5, 1, 2, 3.7)
DISTANCES = ("euclidean", "angular")

#: Keyword arguments of every combination of potential and space.
FORMS = [
    {"power": power, "distance": distance, "half_space": half_space}
    for power, distance, half_space in product(POWERS, DISTANCES, (False, True))
]

#: One of each kind, for tests that compile.
FEW_FORMS = [form for form in FORMS if form["power"] in (0, 2)]


def form_id(form):
    """Readable name of a form, for `pytest.mark.parametrize`."""
    space = "half" if form["half_space"] else "full"
    return f"{form['distance']}-{form['power']}-{space}"
