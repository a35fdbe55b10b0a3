"""Aligns photographs of faces to the layout published with SphereFace.

    python examples/align_faces.py PHOTOS ALIGNED

finds the largest face of every photograph, its eyes, nose and corners of the
mouth, and turns, scales and crops it to 112 rows and 96 columns with these
near the published points. The tree of folders is kept; an image that is there
already is not made again, so the same command continues a run that was cut
off. `--example` shows it on a photograph that comes with scikit-image.

Faces are found by MTCNN as packaged in `mtcnn`, on TensorFlow, whatever
KERAS_BACKEND is. Its wheel holds the weights as pickles, which can run code
when opened: they are trusted like the package's code. Photographs are not
trusted; Pillow decodes only JPEG, PNG, BMP and WebP, and refuses
decompression bombs.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common import option_types
from common.dataset_types import DataError
from common.install_commands import FACES, missing_packages
from common.program import leave, run_program

if TYPE_CHECKING:
    from alignment.faces import Detector

# Import names and what they are called elsewhere.
PACKAGES = {
    "keras": "keras",
    "keras_mhe": "keras-mhe",
    "matplotlib": "matplotlib",
    "mtcnn": "mtcnn",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "tensorflow": "tensorflow",
}
_DESCRIPTION = """\
Aligns the largest face (by area of its box) of each photograph to the layout
published with SphereFace: 112 rows, 96 columns, RGB. Images that are in OUTPUT
already are kept as they are. Photographs without a face and files that cannot
be decoded are skipped, and listed with the reason in OUTPUT/skipped.json.
"""
_EXIT_CODES = """\
exit code: 0 if OUTPUT holds at least one of the aligned images, 1 if none, as
every photograph was skipped, 2 for unusable input or a missing package, 130 if
it was stopped
"""


def main(
    arguments: Sequence[str] | None = None,
    detector: "Detector | None" = None,
) -> int:
    """Runs the program.

    Args:
        arguments: Command line; `None` takes that of the process.
        detector: Finds the faces in place of MTCNN.

    Returns:
        The exit code, as `--help` has it.
    """
    options = parse(arguments)
    return run_program(
        "align_faces.py",
        lambda: _work(options, detector),
        resumes=options.example is None,
        output="as OUTPUT",
    )


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Reads the command line; exits with code 2 if it is wrong."""
    parser = argparse.ArgumentParser(
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input",
        type=Path,
        nargs="?",
        metavar="INPUT",
        help="folder of photographs, for example IDENTITY/NAME.jpg, in any "
        "tree of folders, or a single photograph",
    )
    parser.add_argument(
        "output",
        type=Path,
        nargs="?",
        metavar="OUTPUT",
        help="folder of the aligned images, in the same tree",
    )
    parser.add_argument(
        "--format",
        choices=("png", "jpg"),
        default="png",
        help="png loses nothing, jpg (quality 95) is smaller "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--min_confidence",
        type=option_types.probability,
        default=0.9,
        help="of a face, from 0 to 1 (default: %(default)s, as published)",
    )
    parser.add_argument(
        "--example",
        type=Path,
        nargs="?",
        const=Path("runs/aligned_astronaut"),
        metavar="OUTPUT",
        help="instead align a photograph that comes with scikit-image, and "
        "draw it before and after (default: %(const)s)",
    )
    options = parser.parse_args(arguments)
    if options.example is None and options.output is None:
        parser.error("INPUT and OUTPUT are needed, or --example")
    if options.example is not None and options.input is not None:
        parser.error("--example has no INPUT: give --example OUTPUT alone")
    return options


def _work(options: argparse.Namespace, detector: "Detector | None") -> int:
    if detector is None:
        _check_packages()
        if "keras" not in sys.modules:
            # MTCNN needs it, whatever is set for other programs.
            os.environ["KERAS_BACKEND"] = "tensorflow"
        # Needs the packages, and needs a moment.
        from alignment.mtcnn_detector import MtcnnDetector

        detector = MtcnnDetector(options.min_confidence)
    if options.example is not None:
        return _run_example(options.example, detector)
    return _run(options, detector)


def _run(options: argparse.Namespace, detector: "Detector") -> int:
    from alignment.folder_run import SKIPPED, align_folder

    outcome = align_folder(
        options.input, options.output, detector, options.format
    )
    for name, reason in outcome.skipped.items():
        print(f"skipped {name}: {reason}", file=sys.stderr)
    print(
        f"{outcome.aligned} aligned, {outcome.kept} kept from before, "
        f"{len(outcome.skipped)} skipped; see {options.output / SKIPPED}"
    )
    return 0 if outcome.aligned + outcome.kept else 1


def _run_example(output: Path, detector: "Detector") -> int:
    from alignment.astronaut import ALIGNED, PICTURE, align_astronaut
    from alignment.photos import PhotoError

    try:
        distance = align_astronaut(output, detector)
    except PhotoError as error:
        print(f"skipped the photograph: {error}", file=sys.stderr)
        return 1
    print(
        f"{output / ALIGNED}: landmarks are {distance:.2f} pixels from the "
        f"reference points (root mean square); picture: {output / PICTURE}"
    )
    return 0


def _check_packages() -> None:
    if missing := missing_packages(PACKAGES):
        raise DataError(f"{', '.join(missing)} not installed. Run: {FACES}")


if __name__ == "__main__":
    leave(main())
