"""Scalars: numbers, truth values and identifiers as texts.

The law of this file: readers take linear time, read ASCII only (texts themselves excepted), and raise nothing but
ValueError, whose text says what the value has to be and never repeats it.
"""

from __future__ import annotations

import uuid
from decimal import Decimal
from math import isfinite
from typing import Final

__all__ = ["read_bool", "read_bytes", "read_decimal", "read_float", "read_int", "read_uuid"]

_DIGITS: Final = 4_300  # what Python's own int() takes
_FEW_DIGITS: Final = 640  # what int() takes however low its limit is set
_NUMERIC: Final = "0123456789+-.eE"
_HEX: Final = "0123456789abcdefABCDEF"
_TRUTHS: Final = {
    **dict.fromkeys(("true", "1", "on", "yes"), True),
    **dict.fromkeys(("false", "0", "off", "no"), False),
}


def read_int(text: str) -> int:
    """Return the integer of decimal digits, at most 4,300 of them, with or without a sign."""
    if text.isdigit() and text.isascii() and len(text) <= _FEW_DIGITS:
        return int(text)
    digits = text[1:] if text[:1] in {"-", "+"} else text
    if not (digits.isdigit() and digits.isascii()):
        raise ValueError("has to be an integer")
    if len(digits) > _DIGITS:
        raise ValueError("has to have at most 4,300 digits")
    try:
        return int(text)
    except ValueError:  # sys.set_int_max_str_digits
        raise ValueError("has too many digits") from None


def read_float(text: str) -> float:
    """Return the number, written with or without an exponent; infinity and NaN are none."""
    if len(text) > _DIGITS or text.strip(_NUMERIC):
        raise ValueError("has to be a number")
    try:
        value = float(text)
    except ValueError:
        raise ValueError("has to be a number") from None
    if not isfinite(value):
        raise ValueError("has to be a number below 1.8e308")
    return value


def read_decimal(text: str) -> Decimal:
    """Return the number exactly as written; written out without exponent it has at most 4,300 digits either side."""
    if len(text) > _DIGITS or text.strip(_NUMERIC):
        raise ValueError("has to be a decimal number")
    try:
        value = Decimal(text)
    except ArithmeticError:
        raise ValueError("has to be a decimal number") from None
    if not value.is_finite():  # where the context does not trap what is no number
        raise ValueError("has to be a decimal number")
    if "e" in text or "E" in text:
        _refuse_large_exponent(value)
    return value


def _refuse_large_exponent(value: Decimal) -> None:
    # int() and format() of 1E+999999999 write out all of its digits.
    exponent = value.as_tuple().exponent
    if value.adjusted() >= _DIGITS or not isinstance(exponent, int) or exponent < -_DIGITS:
        raise ValueError("has to have at most 4,300 digits")


def read_bool(text: str) -> bool:
    """Return the truth value: true, 1, on, yes; false, 0, off, no; in any case."""
    value = _TRUTHS.get(text.lower())
    if value is None:
        raise ValueError("has to be true or false")
    return value


def read_bytes(text: str) -> bytes:
    """Return the text in UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        raise ValueError("has to be Unicode text") from None


def read_uuid(text: str) -> uuid.UUID:
    """Return the UUID (RFC 9562 section 4): 32 hexadecimal digits, with its four hyphens or without any."""
    digits = text
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        digits = text.replace("-", "")
    if len(digits) != 32 or digits.strip(_HEX):
        raise ValueError("has to be a UUID")
    return uuid.UUID(int=int(digits, 16))
