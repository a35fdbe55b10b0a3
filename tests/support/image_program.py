"""The image program with the smallest settings."""

SMALL = [
    "--dataset=digits",
    "--train_size=150",
    "--batch_size=50",
    "--width=0.0625",
    "--steps=8",
]
#: Three steps make an epoch: the last of three epochs is cut short.
STEPS = 8
EPOCHS = 3
