"""A tweet's text cut into words, by the patterns of src/text/words.ts."""

from __future__ import annotations

import regex

LETTERS = r"[\p{L}\p{M}\p{N}_]"
JOINER = r"[\u00ad\u200c\u200d\u2060]"
URL = r"(?:[hH][tT][tT][pP][sS]?://|[wW]{3}\.)[^\s\u200b\"<>]+"
CUT_URL = r"h(?:t(?:t(?:p(?:s?(?::/{0,2})?)?)?)?)?…(?=\s*$)"
KEYCAP = r"[#*0-9]\ufe0f?\u20e3"
PICTOGRAPH = r"\p{Extended_Pictographic}(?:\ufe0f|\p{Emoji_Modifier})?(?:[\U000e0020-\U000e007e]+\U000e007f)?"
EMOJI = rf"\p{{Regional_Indicator}}{{2}}|{KEYCAP}|{PICTOGRAPH}(?:\u200d{PICTOGRAPH})*"
OTHER = r"[^\s\p{Cc}\p{Cf}\p{Cs}]"

PATTERNS = {
    "ignore": regex.compile(
        "|".join(
            [
                URL,
                CUT_URL,
                KEYCAP,
                "[@＠][A-Za-z0-9_]+",
                f"[#＃]{LETTERS}+",
                rf"[wW]/(?!{LETTERS})",
                rf"{LETTERS}+(?:(?:--?|[/&]|{JOINER}+){LETTERS}+)*",
                rf"\$[A-Z]{{1,6}}(?!{LETTERS})",
                "&(?:amp|lt|gt)(?![A-Za-z])",
                "-{2,}",
                EMOJI,
                OTHER,
            ]
        )
    ),
    "entity": regex.compile(
        "|".join(
            [
                URL,
                CUT_URL,
                KEYCAP,
                r"\p{Nd}+(?:[.,]\p{Nd}+)*",
                f"{LETTERS}+(?:{JOINER}+{LETTERS}+)*",
                rf"(?::-?[()]|:[DOP])(?!{LETTERS})",
                EMOJI,
                OTHER,
            ]
        )
    ),
}
URL_START = regex.compile(r"^(?:[hH][tT][tT][pP][sS]?://|[wW]{3}\.)")
AFTER_URL = ".,:;!?'\")]}*»”’"


def split_words(text: str, mentions: str) -> list[tuple[str, int, int]]:
    """Each word with its place, in code points."""
    words: list[tuple[str, int, int]] = []
    pattern, at = PATTERNS[mentions], 0
    while found := pattern.search(text, at):
        word = found.group()
        if len(word) > 4 and URL_START.match(word):
            word = word[:4] + word[4:].rstrip(AFTER_URL)
        at = found.start() + len(word)
        words.append((word, found.start(), at))
    return words
