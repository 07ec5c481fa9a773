"""Numbers as reports show them."""

_SUFFIXES = ((1e12, " T"), (1e9, " G"), (1e6, " M"))


def format_number(value: float, digits: int = 3) -> str:
    """A number to so many significant digits: 0.0123, 1.5, 12,345, 31.2 M, 4.1e-05.

    Whole numbers below a million keep all their digits; from there on M, G and T stand for 10^6, 10^9, 10^12.
    """
    size = abs(value)
    if size < 1e6 and value == int(value):
        return f"{int(value):,}"
    for scale, suffix in _SUFFIXES:
        # what rounds up to the next suffix takes it
        if float(f"{size:.{digits}g}") >= scale:
            return format_number(value / scale, digits) + suffix if size < 1e15 else f"{value:.{digits}g}"
    if size < 1e-3:
        return f"{value:.{digits}g}"
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 10 ** (digits - 1):
        return f"{rounded:,.0f}"
    text = f"{rounded:.{digits + 3}f}".rstrip("0").rstrip(".")
    return text
