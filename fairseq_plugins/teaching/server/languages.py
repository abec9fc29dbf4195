"""Names of languages, and detection of which of two languages a text is in."""

import functools

from py3langid.langid import MODEL_FILE, LanguageIdentifier
from pydantic import BaseModel, Field

from fairseq_plugins.teaching.entries import main_code

NAMES = {
    "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "da": "Danish",
    "de": "German", "el": "Greek", "en": "English", "es": "Spanish", "et": "Estonian",
    "eu": "Basque", "fa": "Persian", "fi": "Finnish", "fr": "French", "ga": "Irish",
    "gl": "Galician", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian",
    "id": "Indonesian", "is": "Icelandic", "it": "Italian", "ja": "Japanese", "ko": "Korean",
    "lt": "Lithuanian", "lv": "Latvian", "mt": "Maltese", "nb": "Norwegian Bokmål",
    "nl": "Dutch", "nn": "Norwegian Nynorsk", "no": "Norwegian", "pl": "Polish",
    "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovenian",
    "sq": "Albanian", "sr": "Serbian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian",
    "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip


class Detected(BaseModel):
    """The language of a text."""

    language: str
    confidence: float = Field(description="0 to 100.")


def name_of(code: str) -> str:
    """Return the English name of a language, or its code if the name is unknown."""
    return NAMES.get(main_code(code), code)


def detect(text: str, *languages: str) -> Detected:
    """Return which of some languages a text is in; the first one if one of them is unknown.

    Args:
        text: to examine.
        languages: their codes.
    """
    codes = {main_code(language): language for language in languages}
    identifier = _identifier(*codes)
    if identifier is None:
        return Detected(language=languages[0], confidence=0)
    found, confidence = identifier.classify(text)
    return Detected(language=codes[found], confidence=round(100 * float(confidence), 1))


@functools.cache
def _identifier(*codes: str) -> LanguageIdentifier | None:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    try:
        identifier.set_languages(list(codes))
    except ValueError:
        return None
    return identifier
