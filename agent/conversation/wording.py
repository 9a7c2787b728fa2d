"""What the core says in its own words."""

APOLOGY = "Sorry, something went wrong there. Please try again."
TOO_LONG = "Sorry, that took too long. Please try again."
UNSURE = "I don't know yet whether that worked. I will tell you when I do."
NOTHING_TO_SAY = "I have nothing to say to that."
HEARING_FAILED = "Sorry, I lost my hearing for a moment. Please say that again."
