"""Small talk, help and a story. Nothing here changes anything."""

from __future__ import annotations

from agent.conversation.events import Json
from agent.errors import ToolError
from agent.thinking.port import ToolContext
from agent.thinking.tools.skill import (
    STRING,
    Arguments,
    Ask,
    Build,
    Intent,
    Kit,
    Past,
    Say,
    Skill,
    SkillTool,
    fields_of,
    spec,
    text_of,
)

HELP = (
    "I can tell you the time and the date anywhere in the world, do sums and convert units, and set timers, alarms and "
    "reminders that really ring. I keep notes, lists and your calendar. Try: what time is it in "
    "Tokyo, set a timer "
    "for ten minutes, or add milk to my shopping list. You can interrupt me at any moment."
)
STORY = (
    "Once upon a time there was a lighthouse keeper who talked to the sea. Every evening she told it the "
    "news of the village: "
    "who had married, whose boat needed paint, which dog had run away. The sea never answered, but it "
    "listened. One winter "
    "night a storm blew out her lamp, and three boats were still far from home. So she opened the window and "
    "called their "
    "names into the dark. The sea, which knew every name by now, carried her voice from wave to wave. In the "
    "morning all "
    "three boats lay in the harbor, and the sea was very quiet, waiting for the next story."
)
JOKES = (
    "I told my computer a joke about time. It didn't get it, but it said it would come back later.",
    "Why did the clock go to school? It wanted to be on time.",
    "Parallel lines have so much in common. It's a shame that they'll never meet.",
)
SEQUEL = (
    "The next evening the sea came up to the door and asked for its story. The keeper told it of three boats that "
    "had come home in the dark. The sea listened, and then it told her one of its own, and it was morning before "
    "either of them had finished."
)
_TEXTS = {"help": HELP, "story": STORY, "sequel": SEQUEL}
_IN_SHORT = {
    "help": "The time, sums, units, timers, notes, lists and your calendar.",
    "story": "A lighthouse keeper calls into the storm, and the sea carries her voice to three lost boats.",
    "sequel": "The next evening the sea tells her a story, too.",
}
_OFFLINE = "I can't do that, because I work without the network. Ask me what I can do."
_OKAY = "Okay."
_NEVER_MIND = "Okay, never mind."
_LISTENING = "Okay, I'm listening."
_WHAT_ELSE = "All right. What would you like?"
_ALL_RIGHT = "All right."
_GOOD = "Good."
_WELCOME = "You're welcome."
ASIDES = (_OKAY, _NEVER_MIND, _LISTENING, _WHAT_ELSE, _ALL_RIGHT, _GOOD, _WELCOME)
"""Replies behind which the matter is what it was before."""


def _say(text: str) -> Build:
    return lambda *_: Say(text)


def _joke(_: object, past: Past) -> Say:
    return Say(JOKES[len(past.said) % len(JOKES)])


def _greeting(_: object, past: Past) -> Say:
    hour = past.user.now.hour
    part = "Good morning" if 5 <= hour < 12 else "Good afternoon" if 12 <= hour < 18 else "Good evening"
    return Say("Hello again." if past.said else f"{part}. What can I do for you?")


async def _read(arguments: Arguments, _: ToolContext) -> Json:
    topic = text_of(arguments, "topic")
    if topic not in _TEXTS:
        raise ToolError("I have nothing to say about that.", "not_found")
    return {"text": _TEXTS[topic]}


def _tools(_: Kit) -> list[SkillTool]:
    return [
        SkillTool(
            spec(
                "tell",
                "A text known by heart: `help` (what this agent can do), `story`, or its `sequel`.",
                {"topic": STRING},
                required=["topic"],
            ),
            _read,
        )
    ]


SKILL = Skill(
    name="talk",
    help="tell a story",
    intents=[
        Intent(
            "(hello|hi|hey|hello there|hi there|hey there|good morning|good afternoon|good evening|greetings)",
            _greeting,
        ),
        Intent(
            "(how are you|how are you doing|how is it going|how do you do|how are you today)",
            _say("I'm well, thank you. What can I do for you?"),
        ),
        Intent(
            "(thank you|thanks|thank you very much|thanks a lot|many thanks|thank you so much|cheers)",
            _say(_WELCOME),
        ),
        Intent(
            "(goodbye|bye|bye bye|good night|see you|see you later|see you tomorrow|good bye|that is all|"
            "that will be all)",
            _say("Goodbye."),
        ),
        Intent(
            "(stop|stop it|stop that|stop please|stop that please|stop talking|be quiet|quiet|shut up|"
            "silence|enough|that is enough)",
            _say(_OKAY),
        ),
        Intent(
            "(never mind|forget it|forget about it|cancel|cancel that|cancel it|no never mind|do not bother|"
            "nothing|nothing thanks)",
            _say(_NEVER_MIND),
        ),
        Intent(
            "(wait|wait a minute|wait a second|hold on|hang on|one moment|just a moment|hold on a second|one "
            "second|pause)",
            _say(_LISTENING),
        ),
        Intent(
            "(yes|yeah|yes please|yep|sure|of course|correct|that is right|exactly|i do)",
            _say(_WHAT_ELSE),
        ),
        Intent("(no|nope|no thanks|no thank you|not now|i do not think so|not really)", _say(_ALL_RIGHT)),
        Intent(
            "(okay|ok|all right|alright|fine|good|great|very good|perfect|wonderful|excellent|cool|nice|well "
            "done|that is great|very nice)",
            _say(_GOOD),
        ),
        Intent(
            "(who are you|what are you|what is your name|do you have a name|tell me about yourself|introduce yourself)",
            _say("I'm a voice agent. I run on your own machine, and nothing you say leaves it."),
        ),
        Intent(
            "(can you hear me|do you hear me|are you there|are you listening|hello are you there|is this "
            "working|testing|test|mic check)",
            _say("Yes, I can hear you."),
        ),
        Intent(
            "(are you human|are you a robot|are you real|are you a computer|are you alive)",
            _say("I'm a program, but I listen."),
        ),
        Intent(
            "(i love you|i like you|you are great|you are nice|you are smart|you are funny|good job|good work)",
            _say("That's kind of you."),
        ),
        Intent("(sorry|i am sorry|my mistake|my bad|oops)", _say("No problem.")),
        Intent(
            "(you are wrong|that is wrong|that is not right|that is not what i said|that is not what i meant|wrong)",
            _say("Sorry about that. Could you say it another way?"),
        ),
        Intent(
            "(i am fine|i am good|i am well|i am okay|i am tired|i am bored|i am happy|i am hungry)",
            _say("Thanks for telling me."),
        ),
        Intent(
            "(what is the weather|what is the weather like|how is the weather|will it rain|will it rain "
            "tomorrow|is it raining|what is the weather today|what is the news|play some music|play music)",
            _say(_OFFLINE),
        ),
        Intent("(the weather|the news|what about the weather|how about the weather)", _say(_OFFLINE), loose=True),
        Intent(
            "(help|help me|what can you do|what can i say|what can i ask|what can i ask you|what do you know|"
            "how does this work|how do you work|i need help)",
            lambda *_: Ask("tell", {"topic": "help"}),
        ),
        Intent(
            "(tell me a story|tell a story|tell me a long story|tell us a story|tell me another story|a "
            "story please|read me a story)",
            lambda *_: Ask("tell", {"topic": "story"}),
        ),
        Intent(
            "(tell me a joke|tell a joke|make me laugh|another joke|tell me another joke|do you know a joke|"
            "say something funny)",
            _joke,
        ),
    ],
    phrases={"tell": lambda _, content, __: str(fields_of(content)["text"])},
    briefs={"tell": lambda arguments, _, __: _IN_SHORT[str(arguments["topic"])]},
    follow_ups=[
        Intent(
            "(tell me another story|another story|another one|one more)",
            lambda _, past: Ask("tell", {"topic": "sequel"}) if past.last == Ask("tell", {"topic": "story"}) else None,
            loose=True,
        ),
    ],
    tools=_tools,
)
