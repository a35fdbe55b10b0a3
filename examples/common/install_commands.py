"""Commands that install what a program misses, as messages name them."""

_FOLDER = "in the folder of this repository"
EXAMPLES = f'pip install ".[examples]" {_FOLDER}'
FACES = f'pip install ".[faces]" {_FOLDER}'
GAN = f'pip install ".[gan]" {_FOLDER}'
