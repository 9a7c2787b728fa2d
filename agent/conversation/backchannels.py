"""What a listener says without wanting the floor, by language (ISO 639)."""

from __future__ import annotations

_EVERYWHERE = "hm, hmm, mm, mhm, mm-hm, mm-hmm, ah, oh, okay, ok, "
_WORDS = {
    "en": "uh, um, uh-huh, huh, yeah, yep, right, sure, i see, go on, a, the",
    "de": "äh, ähm, aha, ach so, ja, genau, richtig, stimmt, klar, gut, verstehe, ich verstehe",
    "fr": "euh, oui, ouais, d'accord, bien, bien sûr, voilà, exactement, je vois, ah bon",
    "es": "eh, ajá, sí, si, ya, claro, vale, bueno, entiendo, ya veo, de acuerdo",
    "it": "eh, ehm, sì, si, già, certo, bene, va bene, esatto, capisco, ho capito, d'accordo",
}

BACKCHANNELS = {language: tuple((_EVERYWHERE + words).split(", ")) for language, words in _WORDS.items()}
"""In small letters and without punctuation; what has several words counts as a whole."""
