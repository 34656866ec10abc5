"""Languages as Whisper's servers name them."""

import re

TABLE = """
afrikaans af albanian sq amharic am arabic ar armenian hy assamese as azerbaijani az bashkir ba basque eu belarusian be
bengali bn bosnian bs breton br bulgarian bg burmese my cantonese yue castilian es catalan ca chinese zh croatian hr
czech cs danish da dutch nl english en estonian et faroese fo finnish fi flemish nl french fr galician gl georgian ka
german de greek el gujarati gu haitian ht hausa ha hawaiian haw hebrew he hindi hi hungarian hu icelandic is
indonesian id italian it japanese ja javanese jv kannada kn kazakh kk khmer km korean ko lao lo latin la latvian lv
lingala ln lithuanian lt luxembourgish lb macedonian mk malagasy mg malay ms malayalam ml maltese mt mandarin zh
maori mi marathi mr mongolian mn myanmar my nepali ne norwegian no nynorsk nn occitan oc pashto ps persian fa
polish pl portuguese pt punjabi pa romanian ro russian ru sanskrit sa serbian sr shona sn sindhi sd sinhala si
slovak sk slovenian sl somali so spanish es sundanese su swahili sw swedish sv tagalog tl tajik tg tamil ta tatar tt
telugu te thai th tibetan bo turkish tr turkmen tk ukrainian uk urdu ur uzbek uz vietnamese vi welsh cy yiddish yi
yoruba yo
"""
CODES = TABLE.split()
BY_NAME = dict(zip(CODES[::2], CODES[1::2], strict=True))


def code_of(language: str | None) -> str | None:
    """Return the code of *language*, which is a code or an English name; None: it is neither."""
    word = (language or "").strip().lower()
    return word if re.fullmatch(r"[a-z]{2,3}", word) and word not in BY_NAME else BY_NAME.get(word)
