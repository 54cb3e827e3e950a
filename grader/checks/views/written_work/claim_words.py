"""The words beside a number by which one sees of which quantity it speaks."""

from __future__ import annotations

import re
from typing import Final


def cue(*patterns: str) -> re.Pattern[str]:
    """One pattern for words that begin as any of these do."""
    return re.compile("|".join(rf"(?<!\w)(?:{pattern})" for pattern in patterns), re.I)


_ONE: Final = r"(?:per|a|an|each|every|one|/|the|any|pro|par|por)\s?(?:single )?"
_QUERY: Final = (
    r"(?:quer(?:y|ies)|questions?|requests?|answers?|calls?|repl(?:y|ies)|responses?|q\b)"
)

PER_QUERY: Final = cue(
    rf"{_ONE}{_QUERY}",
    r"(?:tuned|base) (?:quer|request)\w+",
    r"quer(?:y|ies)\b",
    r"requests?\b",
    r"/ ?q\b",
    r"(?:use|using|running|inference)\b",
)
TRAINING_PRICE: Final = cue(
    r"train(?:s|ed|ing|ings)?\b",
    r"(?:the |one )?jobs?\b",
    r"(?<!without )fine-?tuning\b",
    r"bill(?:ed)?\b",
    r"charged",
    r"invoice",
)
BASE: Final = cue(
    r"base\b",
    r"unmodified|original|plain|normal|standard|ordinary|stock|vanilla|bare|few-shot|default",
    r"without (?:it\b|(?:any )?(?:fine-?)?(?:tuning|training))",
    r"(?:not |non-? ?|un-?)(?:fine-?)?(?:tuned|trained)",
    r"before\b",
    r"with (?:the |all |its )*(?:shots|examples|demonstrations)",
)
INSTEAD: Final = cue(r"instead of|against\b|versus\b|vs\b\.?|compared (?:to|with)|rather than")
TUNED: Final = cue(
    r"(?<!not )(?<!non-)(?<!non )(?:fine-?)?tuned",
    r"ft\b|resulting|adjusted|customi?[sz]?e?d?\b",
    r"after(?:wards|ward)?\b",
    r"(?<!un)(?<!not )trained|new model|own model",
)
LATENCY: Final = cue(
    rf"{_ONE}{_QUERY}",
    r"for (?:a|an|one|each|every) (?:query|question|answer|request|reply)",
    r"(?:answers?|responds?|repl(?:y|ies)|responses?|latency|wait(?:s|ing)?|average)\b",
)
TRAINING: Final = cue(
    r"train(?:s|ed|ing|ings)?\b",
    r"jobs?\b",
    r"(?:fine-?)?tun(?:ed|ing)\b",
    r"runs?\b|ran\b|busy|finished|took\b",
)
BREAK_EVEN: Final = cue(
    r"break[- ]?even|be\b ?=",
    (
        r"pa(?:y|ys|id|ying)\b (?:\w+ ){0,2}(?:off|back|for itself)|pays?\b|"
        r"repa(?:y|ys|id)\b|recoup\w*|recover\w*"
    ),
    r"worth\b|volume\b|profitab\w+|amorti[sz]\w+|cost-effective|good to use",
    r"(?:becomes? |gets? |is )?cheaper\b|threshold",
)
COUNTED: Final = re.compile(
    r"[\s\u00a0-]*(?:or so )?(?:more )?(?:quer(?:y|ies)|questions?|requests?|calls?|q\b|answers?)",
    re.I,
)
PER_TIME: Final = re.compile(
    r"[\s-]*\w+ (?:a|an|per|each|every) (?:day|week|month|year|hour|minute|student|class)", re.I
)
PARAMETERS: Final = cue(r"param(?:eter)?s?\b", r"weights?\b")
TRAINABLE: Final = cue(r"trainable|trained|train\b|updated|adapter|lora|rank|tuned")
MEMORY: Final = cue(
    r"(?:gpu |graphics |peak |video )*memory",
    r"v?ram\b",
    r"peak\w*",
    r"held\b",
    r"maximum",
    r"occupie[sd]|allocat\w+",
    r"speicher|m[ée]moire|memoria",
)
SIZE: Final = cue(
    r"adapters?\b(?:'s)?",
    r"dis[kc]\b",
    r"files?\b",
    r"size\b",
    r"weigh\w*",
    r"art[ei]facts?",
    r"stor(?:ed|age|e)\b",
)
OTHER_BYTES: Final = cue(
    (
        r"laptop|instance|colab|[gr]tx\b|computer with|my (?:computer|machine|"
        r"pc) has|download\w*|jsonl|csv|gpu with|at least|requires?d?\b"
    ),
    r"training file|dataset|precision|handout|assignment|task\b|prerequisites?|gpu has",
)
START: Final = cue(
    (
        r"before\b|base\b|baselines?\b|base model|initial\w*|original\w*|"
        r"beforehand|previously|at first"
    ),
    (
        r"un-?(?:trained|tuned|modified|optimi[sz]ed|compiled)|plain|vanilla|"
        r"zero-shot|out of the box|raw\b"
    ),
    (
        r"start(?:s|ed|ing)?\b|without (?:any )?(?:training|tuning|fine-?tuning|"
        r"optimi[sz]\w+)|up from|vorher|avant|antes"
    ),
)
FINISH: Final = cue(
    (
        r"after(?:wards|ward)?\b|end(?:s|ed)?\b|enhanced|optimi[sz]ed|compiled|"
        r"now\b|final\w*|finish\w*"
    ),
    r"(?<!un)trained\b|(?<!un)tuned|became\b|nachher|apr[eè]s|despu[eé]s",
)
SCORE: Final = cue(
    (
        r"scor\w+|accura\w+|exact[- ]match|em\b|right\b|correct\w*|wrong\w*|"
        r"miss(?:es|ed)\b|solv\w+|improv\w+"
    ),
    (
        r"test (?:set|questions?)|baselines?|reach\w*|achiev\w*|before\b|"
        r"after(?:wards)?\b|perform\w+|error rate"
    ),
    (
        r"start(?:s|ed|ing)?\b|zero\b|results?\b|same question|gain\w*|went from|"
        r"of the questions|better\b|best\b"
    ),
)
WRONG_BEFORE: Final = cue(
    r"miss(?:es|ed|ing)?\b|wrong\b|error rate|errors? (?:is|of|in|at)|"
    r"fail(?:s|ed|ing)?\b(?: (?:on|at))?|incorrect\w*"
)
WRONG_AFTER: Final = re.compile(
    r"[^.,;\d]{0,24}?\b(?:wrong(?:ly)?|incorrect(?:ly)?|errors?|mistakes?|failed|missed)\b", re.I
)
DIFFERENCE: Final = cue(
    (
        r"ahead\b|behind\b|better\b|worse\b|beat(?:s|en)?\b|w[io]ns?\b|lead\w*|"
        r"differ\w+|distance|gap\b|apart\b|margin"
    ),
    (
        r"more\b|less\b|fewer\b|advantage|between\b|higher|lower|above|below|"
        r"outperform\w*|exceed\w*|surcharge|extra"
    ),
)
GAIN: Final = cue(
    (
        r"gain\w*|improv\w+|increas\w+|ros?e\b|rises?\b|jump\w*|plus\b|added\b|"
        r"grew\b|progress\w*|delta|\u0394|lift\w*"
    ),
    r"climb\w*|up by|uplift|difference|change\b|more than before",
)
DIFFERENCE_BEFORE: Final = re.compile(
    r"(?:\bby|\bof|\bgained|\bis|\bare|\blies?|\band|\+|,|\bwith|\bonly|"
    r"\bdifference:?|\bgain:?|\bat|\bstill)\s*(?:(?:about|around|roughly|"
    r"some|only|nearly|almost|just|a|another|approximately)\s+)*\+?$|"
    r"^\s*\+?$",
    re.I,
)
DIFFERENCE_AFTER: Final = re.compile(
    r"\s*(?:(?:test|full|percentage)\s)?(?:questions?|points?|answers?|"
    r"pp|%)?\s*(?:more|better|ahead|behind|above|below|worse|fewer|less|"
    r"higher|lower|apart|difference|of difference)\b",
    re.I,
)
RATIO_AFTER: Final = re.compile(
    r"[^.;]{0,12}?\b(?:as much|as (?:expensive|dear|cheap|fast|slow|many|"
    r"high|large|small|long|good)|more|dearer|cheaper|faster|slower|expensive|"
    r"of (?:what|that of|the (?:price|cost))|better|higher|lower|less|"
    r"longer|smaller|larger|bigger|costlier)",
    re.I,
)
NO_SCORE_BEFORE: Final = re.compile(
    r"(?:standard (?:error|deviation)|s\. ?e\.?|\bstd\.?|confidence|interval|"
    r"p-?values?|learning rate|\blr|dropout|alpha|temperature|seeds?|"
    r"decay|"
    r"\br ?=|\bn ?=|\bloss|threshold|version|\btable|figure|\bfig\.?|"
    r"section|\bparts?|\brank|\bpages?|python|transformers|peft|torch|"
    r"epochs?|award)"
    r"(?:\W+(?:of|is|was|about|approx|around|roughly|=|and))*\W*$",
    re.I,
)
UNSURE: Final = re.compile(
    r"(?:confidence|interval|standard error|margin of error)[^.;]{0,60}$", re.I
)
NO_SCORE_LABEL: Final = re.compile(
    r"\bf1\b|rouge|bleu|\bloss\b|^\W*(?:n|size|(?:test )?questions?)\W*$", re.I
)
NO_SCORE_AFTER: Final = re.compile(
    r"\W{0,2}(?:confidence|ci\b|interval|significance|a sentence|dropout|"
    r"parts?\b|approaches|models?\b|methods?\b|trained models|hours?|"
    r"days?|minutes?"
    r"|of (?:the |my |our |all |its |these |those )*(?:time|work|effort|"
    r"hours?|pairs|data|parameters|weights|it\b|memory|rows|examples|"
    r"them|answers(?! (?:right|correct|wrong))|wrong|errors?)"
    r"|(?:\w+ ){0,2}(?:pairs|examples|lines|subjects?|different|new questions|extra)\b)",
    re.I,
)
QUESTIONS_AFTER: Final = re.compile(
    r"\W?(?:test )?questions?\b(?! (?:right|correct|wrong|ahead|more|behind|better|worse))", re.I
)
RIGHT_AFTER: Final = re.compile(
    r"\s*(?:(?:of the|test|answers?|questions?)\s)*(?:right|correct(?:ly)?|"
    r"solved|hits|passed)\b|\s*(?:test )?questions? (?:right|correct)",
    re.I,
)
ADJACENT_START: Final = re.compile(
    r"\b(?:before|from|initially|antes|avant|vorher|start(?:s|ed)? (?:at|"
    r"with|from))\s*:?\s*(?:about|only|roughly|around|just|at)?\s*$",
    re.I,
)
ADJACENT_FINISH: Final = re.compile(
    r"\b(?:after(?:wards)?|finally|despu[eé]s|apr[eè]s|nachher|ends? (?:at|"
    r"with)|reach(?:es|ed)?)\s*:?\s*(?:about|only|roughly|around|just|"
    r"at)?\s*$",
    re.I,
)
FOLLOWED_BY_START: Final = re.compile(
    r"\s?(?:\w+ )?\(?(?:before|untrained|untuned|baseline|initially)\b", re.I
)
FOLLOWED_BY_FINISH: Final = re.compile(
    r"\s?(?:\w+ )?\(?(?:after(?:wards)?|trained|tuned|finally|in the end)\b", re.I
)
CONNECTED: Final = re.compile(
    r"[^.;,\d]{0,24}?(?:\bto\b|->|\u2192|\u2013>|=>|\bauf\b|\binto\b)\s*(?:(?:about|"
    r"around|roughly|a|an|only|nearly|some|almost|still|even|now|impressive|"
    r"over|more than|around)\s+)*[$]?\s*",
    re.I,
)
FROM: Final = re.compile(r"\bfrom\s*(?:[^\W\d]+\s+){0,3}[$]?\s*$", re.I)
NO_PRICE: Final = re.compile(r"\b(?:even|after|until|said)\W*$", re.I)
BY: Final = re.compile(r"\bby\s+(?:\w+\s+)?$", re.I)
OF_APPROACH: Final = re.compile(
    r"[^.;,\d]{0,24}\b(?:for|by|with|in|from)\s(?:the\s)?(?:\w+\s)?|\s?\(", re.I
)
NEXT_NUMBER: Final = re.compile(r"\((?=[^)]*\d)")
OTHERS: Final = cue(
    (
        r"papers?\b|authors?\b|advertis\w+|rule of thumb|literature|blog\w*|"
        r"leaderboard|survey|friends?\b|colleagues?\b"
    ),
    (
        r"price (?:page|list)|last year|is said|according to|handout|assignment|"
        r"task\b|task sheet|lecture\w*|documentation"
    ),
    r"(?-i:[A-Z][a-z]+)['\u2019]s (?:adapter|model|program|group|run|result)",
)
OTHER_RUN: Final = cue(
    (
        r"(?:first|second|third|earlier|previous|later|another|other|next|"
        r"new|single|bad|failed) (?:\w+ )?(?:try|attempt|run|version|training|"
        r"seed|experiment|model|time)s?\b"
    ),
    r"(?:rank|r|seed|epochs?|alpha|temperature|learning rate|lr|batch size) ?(?:=|of|at|with)? ?\d",
    (
        r"valid(?:ation)?\b|training (?:set|data|questions|examples)|train set|"
        r"partial credit|token f1|\bf1\b|rouge|bleu"
    ),
    (
        r"when i (?:cut|reduced|used|removed|changed|halved|tried|trained)|"
        r"if (?:i|we|you|one)\b|random|guess\w*|chance"
    ),
)
OWN: Final = cue(r"my\b|mine\b|our\b|ours\b|i\b|we\b")
PER_TOKENS: Final = re.compile(
    r"\s*(?:per|for|/|a)\s*(?:[\d.,]+\s?)?(?:million|thousand|1?[kM])?\s*(?:training |"
    r"input |output )?tok",
    re.I,
)
CARD_AFTER: Final = re.compile(
    r"\W*(?:\w+ )?(?:cards?|gpus?|machines?|laptops?|instances?|vram)\b", re.I
)
WAS: Final = re.compile(r"[,(]\s*(?:it )?was(?: only)?\s*$", re.I)
ARROW: Final = re.compile(r"\s*(?:->|\u2192|=>|\u2013>)\s*[$]?\s*")
SAME_UNIT: Final = re.compile(
    r"\s*(?:and|or|to|vs\.?|/|->|\u2192|against)\s*(?:about|around|roughly)?\s*[$]?", re.I
)
ENDS_THERE: Final = re.compile(
    r"\s*(?:[.,;:?!)]|$|\(|(?:with|for|on|in|without|instead|against|"
    r"vs|versus|and|or|of|after|before|when|if|by|each|tuned|base|per|"
    r"a)\b)",
    re.I,
)
TEST_SIZES: Final = re.compile(
    r"(?<![\d.,])(\d{2,4})\s+(?:[\w-]+\s+){0,3}questions?\b|\bn\s?=\s?(\d{2,4})\b|"
    r"\bof (\d{2,4})\b(?![.,]\d)|out of (\d{2,4})\b",
    re.I,
)
MANY: Final = re.compile(
    r"(?:1[ ,.]?000[ ,.]?000|a million|one million|million|1M)(?=\W+(?:\w+\W+)?(?:quer|"
    r"request|question|answer|call))"
    r"|(?:10[ ,.]?000|ten thousand)(?=\W+(?:\w+\W+)?(?:quer|request|question|answer|call))"
    r"|(?:1[ ,.]?000|a thousand|one thousand|thousand|1 ?k)(?=\W+(?:\w+\W+)?(?:quer|"
    r"request|question|answer|call)|[.,;)]|$)"
    r"|(?:100|a hundred|hundred)(?=\W+(?:quer|request|question|answer|call))",
    re.I,
)
APPOSITION: Final = re.compile(
    r"\s*[,;(\u2013-]?\s*(?:or|i\. ?e\.|that(?: i|'|\u2019)s|that is|"
    r"which is|=|\u2248|meaning)\s*,?\s*(?:about |around |roughly |only |"
    r"just |by )?[$]?",
    re.I,
)
NEXT_ONE: Final = re.compile(
    r"\s*\)?\s*(?:[,;]|,? ?(?:and|but|while)\b)\s*(?:the |my |our |for |tuned ){0,3}", re.I
)
HAS: Final = re.compile(
    r"[\s:(]{0,3}(?:model|by|only|about|at|misses|with|had|has|got|to|is)?[\s:(]{0,3}(?:by )?[$]?",
    re.I,
)
THEN: Final = re.compile(
    r"\s*(?:,|;|,? ?and|, ?but|,? ?while|,? ?or)\s*(?:only |about |even |just |a |an )*[$]?", re.I
)
BETTER: Final = re.compile(r"good\b|better|high\w*|improv\w+|accura\w+|scor\w+|right|correct", re.I)
LONGER: Final = re.compile(r"long\w*|fast\w*|slow\w*|quick\w*|short\w*", re.I)
FACTOR_OF: Final = re.compile(r"\bfactor (?:of )?(?:about )?$", re.I)
SAVED: Final = re.compile(
    r"(?:surcharge|difference|sav(?:es?|ing|ed)|more|extra)\W*(?:\w+\W+){0,2}$", re.I
)
MISSES: Final = re.compile(r"\b(?:miss(?:es|ed)|fail(?:s|ed)(?: on| at)?|got wrong)\s*$", re.I)
DEARER: Final = re.compile(
    r"\s*(?:percent )?(?P<more>more|dearer|higher|costlier)|\s*(?P<less>less|cheaper|lower)", re.I
)
OF_WHAT: Final = re.compile(r"\s*of (?:what|that of|the (?:price|cost)|the base)", re.I)
PRICE: Final = cue(
    r"costs?\b|expensive|dear\w*|cheap\w*|prices?|money|pay\w*|cents?\b|"
    r"ct\b|usd|quer(?:y|ies)|dollars?|\$"
)
PER: Final = re.compile(r"\b(?:per|each|every|for|of|a|/)\s*$", re.I)
ONE_TOKEN: Final = re.compile(r"\b(?:one|a|each|every|per) token\b", re.I)
