"""Points on spheres: ways to spread them, and best known energies."""
