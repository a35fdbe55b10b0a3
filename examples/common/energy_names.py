"""Energies by the names that the published programs give their powers."""

from keras_mhe import MHE

#: Powers, with angles for a0, a1, a2.
POWERS = ("0", "1", "2", "a0", "a1", "a2")


def energy_named(
    power_s: str, strength: float, *, half_space: bool = False
) -> MHE:
    """Returns the energy of one of `POWERS`, a mean over pairs."""
    return MHE(
        strength,
        power=int(power_s[-1]),
        distance="angular" if power_s[0] == "a" else "euclidean",
        half_space=half_space,
    )
