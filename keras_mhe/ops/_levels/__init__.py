"""Levels of the energy: proven minima, random directions."""
