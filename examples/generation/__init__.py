"""Generative adversarial networks with energy and spectral norm."""
