"""Pictures as SVG inside a page, in the colours of its text."""

import io
import re

from keras_mhe._figure import new_figure, require_matplotlib
from keras_mhe.analysis._histograms import draw_angles
from keras_mhe.analysis._kernel_audit import KernelAudit

#: Stands for the colour of the text until the picture is in the page.
_TEXT = "#123456"
_STYLE = {
    "axes.edgecolor": _TEXT,
    "axes.facecolor": "none",
    "axes.labelcolor": _TEXT,
    "figure.facecolor": "none",
    "svg.fonttype": "none",
    "svg.hashsalt": "keras_mhe",
    "text.color": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
}


def angle_picture(row: KernelAudit, number: int) -> str:
    """Returns the histogram of a layer's angles as an SVG element.

    Args:
        row: The layer.
        number: Of the picture in the page; its identifiers begin with it.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure = new_figure(3.4, 2.1)
        axes = figure.subplots()
        draw_angles(axes, row)
        axes.set_title("")
        text = io.StringIO()
        figure.savefig(
            text, format="svg", metadata={"Date": None, "Creator": None}
        )
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].replace(_TEXT, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Identifiers are those of the page.
    return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>p{number}-", svg)
