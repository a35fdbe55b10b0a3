"""The largest holes by a long search in float64, from hundreds of places.

No code is shared with the library.
"""

import numpy as np
from scipy import optimize


def hole(weights, form):
    """Value and gradient of the polarization or covering of a kernel.

    Args:
        weights: Shape `(dim, num_neurons)`, without neurons of zeros.
        form: `half_space`, and `precision` or `power` and `distance`.
    """
    lengths = np.linalg.norm(weights, axis=0)
    units = weights / lengths
    dim, num_neurons = units.shape
    energies = _energies(form)

    def means(places):
        return np.mean(energies(places.T @ units)[0], axis=-1)

    def rise(place):
        length = np.linalg.norm(place)
        place = place / length
        value, slope = energies(place @ units)
        gradient = units @ slope / num_neurons
        gradient -= (gradient @ place) * place
        mean = np.mean(value)
        if form.get("power") == 0:
            return mean, gradient / length
        return np.log(mean), gradient / length / mean

    rng = np.random.default_rng(7)
    drawn = rng.normal(size=(dim, 3000))
    drawn = drawn / np.linalg.norm(drawn, axis=0)
    first = np.argsort(means(drawn))[:40]
    starts = [drawn[:, first], drawn[:, :20], -units[:, :40]]
    found = [
        optimize.minimize(
            rise,
            start,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 2000, "maxfun": 10_000, "gtol": 1e-11}
            | {"ftol": 1e-16, "maxcor": 30},
        ).x
        for start in np.concatenate(starts, axis=1).T
    ]
    places = np.concatenate([np.transpose(found), -units], axis=1)
    places = places / np.linalg.norm(places, axis=0)
    at_all = means(places)
    # Of equal ones the exact opposite of a neuron.
    at_all[len(found) :] -= 1e-9
    best = int(np.argmin(at_all))
    place = places[:, best]
    value, slope = energies(place @ units)
    if form.get("distance") == "angular" and best >= len(found):
        # The place moves with the neuron that it is opposite to.
        neuron = best - len(found)
        slope[neuron] = 0.0
        gradient = np.outer(place, slope)
        gradient[:, neuron] = -units @ slope
    else:
        gradient = np.outer(place, slope)
    gradient -= np.sum(gradient * units, axis=0) * units
    gradient /= num_neurons * lengths
    mean = np.mean(value)
    if "precision" in form:
        scale = -1.0 / form["precision"]
        return scale * np.log(mean), scale / mean * gradient
    return mean, gradient


def _energies(form):
    """Function from cosines to values and slopes."""

    def of_vectors(cosine):
        cosine = np.clip(cosine, -1.0, 1.0)
        if "precision" in form:
            precision = form["precision"]
            value = np.exp(2.0 * precision * (cosine - 1.0))
            return value, 2.0 * precision * value
        power = form["power"]
        if form["distance"] == "euclidean":
            squared = np.maximum(2.0 - 2.0 * cosine, 1e-12)
            if power == 0:
                return -0.5 * np.log(squared), 1.0 / squared
            value = squared ** (-0.5 * power)
            return value, power * value / squared
        angle = np.maximum(np.arccos(cosine), 1e-6)
        sine = np.maximum(np.sin(angle), 1e-9)
        if power == 0:
            return -np.log(angle), 1.0 / (angle * sine)
        value = angle ** -float(power)
        return value, power * value / (angle * sine)

    if not form["half_space"]:
        return of_vectors

    def of_lines(cosine):
        near, far = of_vectors(cosine), of_vectors(-cosine)
        return 0.5 * (near[0] + far[0]), 0.5 * (near[1] - far[1])

    return of_lines
