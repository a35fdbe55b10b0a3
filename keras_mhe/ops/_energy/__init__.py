"""The hyperspherical energy, its gap and its descent."""
