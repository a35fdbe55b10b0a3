"""Logits and margins of classifiers."""
