"""Singular values of kernels."""
