"""Other measures of how neurons are spread."""
