"""What the example programs share: data, models, runs and results."""
