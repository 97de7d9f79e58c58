"""In how many parts a text message travels."""

# The basic alphabet of GSM 03.38, one septet each.
BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    "ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# These take an escape and a septet.
EXTENDED = frozenset("\f^{}\\[~]|€")


def count(text: str) -> int:
    """The number of parts: GSM-7 where all characters have a place there, else UCS-2."""
    if all(character in BASIC or character in EXTENDED for character in text):
        sizes = [1 if character in BASIC else 2 for character in text]
        return _parts(sizes, alone=160, part=153)
    sizes = [2 if ord(character) > 0xFFFF else 1 for character in text]
    return _parts(sizes, alone=70, part=67)


def _parts(sizes: list[int], *, alone: int, part: int) -> int:
    if sum(sizes) <= alone:
        return 1
    parts, used = 1, 0
    for size in sizes:
        # No character is split over two parts.
        if used + size > part:
            parts, used = parts + 1, 0
        used += size
    return parts
