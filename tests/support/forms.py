"""The forms of the energy that several tests run over."""

from itertools import product

from support.gradients import IS_THOROUGH

POWERS = (0, 0.5, 1, 2, 3.7)
DISTANCES = ("euclidean", "angular")


def _forms(combinations):
    return [
        {"power": power, "distance": distance, "half_space": half_space}
        for power, distance, half_space in combinations
    ]


#: Every combination of potential and space.
ALL_FORMS = _forms(product(POWERS, DISTANCES, (False, True)))

#: Each power, distance and space, where a form costs a compilation.
_CORNERS = _forms(
    [
        (2, "euclidean", False),
        (0, "euclidean", True),
        (1, "angular", False),
        (2, "angular", True),
        (3.7, "euclidean", True),
        (0.5, "angular", False),
    ]
)
FORMS = ALL_FORMS if IS_THOROUGH else _CORNERS

#: One of each kind, for tests of one trait in every mode.
FEW_FORMS = [
    form
    for form in (ALL_FORMS if IS_THOROUGH else _CORNERS[:4])
    if form["power"] in (0, 1, 2)
]


def form_id(form):
    """Readable name of a form, for `pytest.mark.parametrize`."""
    space = "half" if form["half_space"] else "full"
    return f"{form['distance']}-{form['power']}-{space}"
