"""How results stand in tables."""


def with_sign(
    difference: float | None,
    half_width: float | None,
    digits: int,
    factor: float = 1.0,
) -> str:
    """Shows what `paired_difference` returned, `-` where nothing is compared.

    Args:
        difference: The mean.
        half_width: Of its interval.
        digits: After the point.
        factor: What both are multiplied by, 100 for percentage points.
    """
    if difference is None:
        return "-"
    shown = f"{factor * difference:+.{digits}f}"
    if half_width is None:
        return shown
    return f"{shown} ± {factor * half_width:.{digits}f}"


def markdown_table(rows: list[tuple[str, ...]]) -> str:
    """Returns rows as a Markdown table, the first one its header."""
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
