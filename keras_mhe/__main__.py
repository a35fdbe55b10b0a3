"""`python -m keras_mhe` is the command `keras-mhe`."""

import sys

from keras_mhe._command_line import main

if __name__ == "__main__":
    sys.exit(main())
