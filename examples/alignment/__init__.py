"""The parts of `align_faces.py`: photographs to faces in one layout."""
