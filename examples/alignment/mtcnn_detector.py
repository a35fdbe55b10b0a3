"""Faces and landmarks by MTCNN (Zhang et al., 2016): the package `mtcnn`.

The weights come in the package's wheel, as pickles that joblib opens: who
runs this trusts that wheel, its weights like its code. The package would take
files of the same names in the working folder first; here it cannot.
"""

import importlib.resources

import keras
import numpy as np

from alignment.faces import MIN_FACE, Face
from common.dataset_types import DataError


class MtcnnDetector:
    """Finds faces with the thresholds and the image pyramid of SphereFace.

    Call it with pixels, uint8 of shape `(height, width, 3)`.

    Args:
        min_confidence: Float between 0 and 1, threshold of the last stage.
            SphereFace published 0.9.

    Raises:
        DataError: If Keras does not run on TensorFlow, as MTCNN needs.
    """

    def __init__(self, min_confidence: float = 0.9):
        if (backend := keras.backend.backend()) != "tensorflow":
            raise DataError(
                f"MTCNN runs on TensorFlow, received Keras on {backend}. Set "
                "KERAS_BACKEND=tensorflow."
            )
        from mtcnn import MTCNN
        from mtcnn.stages import StageONet, StagePNet, StageRNet

        weights = importlib.resources.files("mtcnn") / "assets" / "weights"
        stages = [
            StagePNet(weights=str(weights / "pnet.lz4")),
            StageRNet(weights=str(weights / "rnet.lz4")),
            StageONet(weights=str(weights / "onet.lz4")),
        ]
        self._mtcnn = MTCNN(stages=stages)
        self._min_confidence = min_confidence

    def __call__(self, pixels: np.ndarray) -> list[Face]:
        """Returns all faces, with landmarks to fractions of a pixel."""
        rows = self._mtcnn.detect_faces(
            pixels,
            # Without it the landmarks are rounded.
            output_type="numpy",
            box_format="xyxy",
            fit_to_image=False,
            min_face_size=MIN_FACE,
            scale_factor=0.709,
            threshold_pnet=0.6,
            threshold_rnet=0.7,
            threshold_onet=self._min_confidence,
        )
        # Number of the image, box, confidence, five x, five y.
        return [
            Face(tuple(row[1:5].tolist()), row[6:16].reshape(2, 5).T)
            for row in rows
        ]
