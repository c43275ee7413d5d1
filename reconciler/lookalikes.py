"""Compare names that look the same to people, and show the difference between them."""

import json
import re
import unicodedata
from typing import Final

from reconciler.lazy_pattern import compile_later

HIDDEN: Final = compile_later(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb]"
)
_SPACES: Final = compile_later(r"\s+")
_JOINTS: Final = compile_later(r"[\s_-]+")
_CYRILLIC: Final = (
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u04bb\u0501"
    "\u051b\u051d\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422"
    "\u0423\u0425\u0406\u0408\u0405\u050c"
)
_CYRILLIC_LOOKS: Final = "aceopxyijshdqwABEKMHOPCTYXIJSG"
_GREEK: Final = (
    "\u03b1\u03bd\u03bf\u03c1\u03c4\u03c5\u03b9\u03ba\u0391\u0392\u0395\u0396"
    "\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
)
_GREEK_LOOKS: Final = "avoptuikABEZHIKMNOPTYX"
_LOOKS: Final = str.maketrans(_CYRILLIC + _GREEK, _CYRILLIC_LOOKS + _GREEK_LOOKS)
_PLAIN: Final = compile_later(r"[A-Za-z][\w./@+-]*(?: [\w./@+-]+)*", re.ASCII)
_NOT_TEXT: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_LAST_SHORT: Final = 0xFFFF  # the largest number of four hexadecimal digits


def simplify_name(name: str) -> str:
    """Return a name as it looks: nothing invisible, single spaces, Latin letters."""
    if name.isascii():
        return " ".join(name.split())
    plain = unicodedata.normalize("NFKC", name)
    plain = HIDDEN.sub("", _SPACES.sub(" ", plain)).translate(_LOOKS)
    return " ".join(unicodedata.normalize("NFC", plain).split())


def squeeze_name(name: str) -> str:
    """Return what is left of a name without case, spaces, hyphens and underscores."""
    return _JOINTS.sub("", simplify_name(name)).casefold()


def escape_name(name: str) -> str:
    """Return a name in double quotes with every unusual character as a YAML escape.

    A letter before a combining mark is escaped too, and so is a space that could be overlooked:
    a terminal shows neither.
    """
    parts = []
    for position, character in enumerate(name):
        before, after = name[position - 1 : position], name[position + 1 : position + 2]
        is_overlooked = (character == " " and before in {"", " "}) or (
            character == " " and not after
        )
        has_mark = after != "" and unicodedata.combining(after) != 0
        if character in '"\\':
            parts.append("\\" + character)
        elif character.isascii() and character.isprintable() and not is_overlooked and not has_mark:
            parts.append(character)
        elif ord(character) <= _LAST_SHORT:
            parts.append(f"\\u{ord(character):04x}")
        else:
            parts.append(f"\\U{ord(character):08x}")
    return f'"{"".join(parts)}"'


def format_yaml_scalar(name: str) -> str:
    """Return a name as it can be written into a YAML file, quoted only if necessary."""
    if _PLAIN.fullmatch(name) and name.casefold() not in _NOT_TEXT:
        return name
    usual = simplify_name(name) == name and HIDDEN.search(name) is None
    return json.dumps(name, ensure_ascii=False) if usual else escape_name(name)
