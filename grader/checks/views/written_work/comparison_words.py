"""The words by which a comparative analysis of fine-tuning methods is read.

Another course's comparison has other aspects and approaches: it is another `Vocabulary`.
Cues are regular expressions that match at the start of a word, whatever the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Aspect:
    """What a comparison has to address.

    `headings` name it in a heading. In a sentence a `strong` cue speaks of it, and two different
    `weak` ones do. `claims`: what numbers in a passage about it may claim: "scores": bare ones are
    scores; "all": what their words say; "no scores": other questions are meant; "none".
    """

    id: str
    title: str
    headings: tuple[str, ...]
    claims: Literal["scores", "all", "no scores", "none"]
    strong: tuple[str, ...]
    weak: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Aspects in order; for each approach (an id of the assignment's parts) the words for it.

    `facts` are the paths of what is measured (see `measured.Measured`).
    """

    aspects: tuple[Aspect, ...]
    approaches: Mapping[str, tuple[str, ...]]
    facts: tuple[str, ...]


COMPARISON: Final = Vocabulary(
    aspects=(
        Aspect(
            id="time",
            title="Development time and effort",
            claims="none",
            headings=(
                r"develop|dev\b|coding|implement\w*",
                r"effort|workload|(?<!future )(?<!related )work\b",
                r"(time|hours?|how long)\b",
            ),
            strong=(
                r"effort\w*|workload|development time|learning curve",
                r"(person-|man-|working )?(hours?|days?)\b(?! (a|per))",
                r"\d+([.,]\d+)?\s?h\b",
                (
                    r"afternoons?\b|mornings?\b|evenings?\b|nights?\b|weekends?\b|"
                    r"saturdays?|sundays?"
                ),
                r"debug\w*|troubleshoot\w*",
                r"(took|cost|takes|needed) (me|us)\b|took longe(r|st)|took long\b",
                (
                    r"(quick|fast|easy|easi|hard|difficult|short|simpl)\w* (\w+ ){0,2}to (write|"
                    r"get right|develop|learn|code|start|implement|set up|build)"
                ),
                r"(pair )?programming|time[- ]?(sheet|track|consum)\w*|diary",
                r"got stuck|stuck\b|trial and error|from scratch",
                r"(get|got|getting) (it |everything )?(running|to run|to work|working|started)",
                r"lines of code|boilerplate|straightforward|laborious",
                r"fiddly|hardest part|easiest part",
            ),
            weak=(
                r"weeks?\b|months?\b",
                r"minutes?\b",
                r"spen[dt]\b",
                r"coding|wrote\b|code\b",
                r"bugs?\b",
                r"(most|more|least|less) work\b",
                r"difficult\w*|hard(er|est)?\b|eas(y|ier|iest|ily)\b|simple\b|tricky",
                r"wait(ed|ing)\b",
                r"learn(ed|ing)?\b",
                r"frustrat\w+|annoy\w+|pain(ful)?\b",
                r"retrospect",
                r"iterat\w+",
                r"quick\w*",
                r"setting up|set ?up|install\w*|environment",
                r"patience|tir(ed|ing|esome)\b|exhaust\w+",
                r"at once",
                r"tutorials?|documentation|docs\b",
            ),
        ),
        Aspect(
            id="data",
            title="Data preparation",
            claims="none",
            headings=(
                r"data\b|data ?sets?\b|corpus",
                r"prepar\w*",
                r"examples\b|material\b",
            ),
            strong=(
                r"data ?sets?\b|train ?sets?\b|dev ?sets?\b",
                r"jsonl|json lines",
                r"(training|question[- ]answer|qa|q&a) (pairs|file|data|set|examples)",
                r"few-shot examples",
                r"chat (format|template|messages|transcripts)|system,? (and )?user",
                r"(json|csv) (file|lines?)|dspy\.example|`example`",
                r"tokeni[sz]\w+|token ids?\b",
                r"mask\w*",
                r"de-?duplicat\w+|duplicates?\b",
                r"pre-?process\w*|data prep\w*|curat\w+|annotat\w+|labell?ing\b",
                r"(pairs|questions|examples) (about|on|from|of|were|was|in)\b",
                r"hand-?written|wrote (\w+ ){0,3}(pairs|questions|examples)",
                r"normali[sz]ed",
                r"validat(ion|or)\b",
                r"train(ing)?[ /-](set|test|val)\w*",
            ),
            weak=(
                r"data\b",
                r"pairs?\b",
                r"examples?\b",
                r"formats?\b|formatt\w+",
                r"conver(t|sion)\w*",
                r"clean\w*",
                r"messages?\b",
                r"conversations?\b|chats?\b",
                r"passages?\b",
                r"label(s|led)?\b",
                r"quality",
                r"splits?\b",
                r"spelling",
                r"truncat\w+",
                r"pad(ded|ding)?\b",
                r"(system|assistant) (message|role)|roles?\b",
                r"collect\w*",
                r"records?\b|rows\b",
                r"schema|template",
            ),
        ),
        Aspect(
            id="performance",
            title="Performance on identical test questions",
            claims="scores",
            headings=(
                r"perf(ormances?)?\b",
                r"results?\b",
                r"scor\w+|accura\w+|quality\b|how (well|good)|benchmark",
                r"evaluat\w*|tests?\b",
            ),
            strong=(
                r"accura\w+",
                r"scor(e|es|ed|ing)\b",
                r"exact[- ]match|\bem\b",
                r"test questions?",
                r"(right|correct|wrong)(ly)? answer\w*",
                r"answer\w* (\w+ ){0,3}(right|correct|wrong)(ly)?\b",
                r"baselines?\b",
                r"held-?out",
                r"(same|identical|shared|unseen|test) (\w+ ){0,2}questions?",
                r"\d[\d.,]* ?(%|percent|per cent)",
                r"(percentage )?points\b",
                r"outperform\w*|beats?\b|state-of-the-art",
                r"questions? (right|correct\w*|wrong)|misses (one|\d)",
                r"from [\d.,]+ ?%? to [\d.,]+",
                r"\d+ (correct|right)\b",
                r"\d ?-> ?[\d.]",
                (
                    r"wrong (answers|where)|errors? (are|of)|kinds? of errors?|error rate|"
                    r"hallucinat\w*"
                ),
                r"ahead of|behind\b",
                r"performance|performed\b",
                r"test set|benchmark\w*",
            ),
            weak=(
                r"improv\w+",
                r"before\b",
                r"after\b",
                r"better\b",
                r"best\b",
                r"worst?e?\b",
                r"gain\w*",
                r"metric\w*",
                r"wins?\b|won\b|winner",
                r"results?\b",
                r"questions?\b",
                r"right\b|correct\w*",
                r"wrong\w*",
                r"errors?\b|mistakes?\b",
                r"chance\b|luck\b",
                r"seeds?\b",
                r"standard error|significant",
                r"fails?\b|failed\b",
                r"plot\b",
                r"evaluat\w+",
                r"0[.,]\d+",
                r"gets?\b|got\b",
                r"\d+ (of|out of) \d+|\d/\d",
            ),
        ),
        Aspect(
            id="resources",
            title="Resource requirements",
            claims="all",
            headings=(
                r"resources?\b|res\b|requirements?\b",
                r"costs?\b|pric\w+|money|budget\w*|bills?\b|spend\w*|expens\w+",
                r"comput\w+",
                r"memory|hardware|gpu",
            ),
            strong=(
                r"gpus?\b|cuda|colab|vram",
                r"memory|\bram\b",
                r"\d ?[kmg]i?(b|o)\b",
                r"(\$|€) ?\d|\d ?(\$|€)|usd|dollars?|euros?\b",
                r"cents?\b|ct\b",
                r"break[- ]?even",
                r"hardware",
                r"(price|cost)s?\b(?! (me|us)\b)",
                r"billed|bill\b|invoice|budget\w*|money",
                r"comput(e|ing)\b|electric\w+",
                r"trainable parameters?",
                r"peak\b",
                r"pays? (for )?itself|paid (for itself|back)|pays after",
                r"api (costs?|calls|spend|only)|credits?\b",
                r"resources?\b",
                r"seconds? of training|training (time|took)",
                r"expensive|cheap\w*|dearer",
            ),
            weak=(
                r"seconds?\b|\d ?s\b",
                r"train(ed|ing)\b",
                r"parameters?\b|params\b",
                r"quer(y|ies)\b",
                r"pay\b|paid\b",
                r"cpus?\b",
                r"runs?\b|ran\b",
                r"laptop|computer",
                r"free\b",
                r"jobs?\b",
            ),
        ),
        Aspect(
            id="domains",
            title="Adapting to new domains",
            claims="no scores",
            headings=(
                r"domains?\b|flexib\w+|transfer\w*|generali\w+|portab\w+|reus\w+",
                r"adapt(ing|ation|ability)\b(?!.{0,3}(method|strateg))",
                r"(new|another|other|different) (\w+ )?(subjects?|topics?|fields?|areas?|things?)",
                r"(something|anything) (new|else|different)",
            ),
            strong=(
                (
                    r"(new|another|other|different|change of|every|next) (domain|subject|"
                    r"topic|field|area)s?"
                ),
                r"domains?\b|out-of-domain",
                r"re-?compil\w+",
                r"(switch|mov|transfer|adapt|carr|stretch|port)\w* (\w+ ){0,4}(to|over)\b",
                r"adapts?\b|adapted to|adaptab\w+",
                r"re-?train\w*|train(ed)? again",
                r"(an|second|old) adapter (per|for|for each)|second adapter",
                r"adapter (per|for every) (subject|topic)",
                r"swap\w*|exchang\w+",
                r"flexib\w+|generali[sz]\w+",
                r"new subjects?",
            ),
            weak=(
                r"subjects?\b",
                r"topics?\b",
                r"new (pairs|passages|examples|data|training|job)",
                r"another\b",
                r"new\b",
                r"(change|replace)\w*",
                r"demonstrations?\b",
                r"keep\b|re-?us\w+",
                r"examples?\b",
                r"start (over|again)",
                r"side by side|structural",
            ),
        ),
        Aspect(
            id="deployment",
            title="Practical considerations for deployment",
            claims="all",
            headings=(
                r"deploy\w*|produc\w+|practic\w+|operat\w+",
                r"hosting|serving|rollout|live\b|maintenance",
                r"(use|using) it\b|real (world|life|use)",
            ),
            strong=(
                r"deploy\w*|production",
                r"privacy|private data|confidential|gdpr|rgpd|data protection|compliance",
                (
                    r"(self-|on-)?(host|prem)(s|ed|ing|ise)?\b(?! (model|fine|tun|one|"
                    r"service|finish|system))"
                ),
                r"servers?\b",
                r"vendors?\b|provider\w*|lock-in",
                r"latency|throughput",
                r"offline|internet|(is|are|goes|went) down\b",
                r"maint(ain|enance)\w*|monitor\w*|up-?time|down-?time|outage\w*",
                r"scal(e|es|able|ability|ing)\b",
                r"(retire|withdraw|switched off|vanish|discontinu|deprecat)\w*|be gone|is gone",
                r"leaves? the (building|house|school)",
                r"container\w*|docker|endpoint\w*|serving\b|vllm|ollama",
                r"rate limits?|api keys?",
                r"version control|versioning|roll ?back",
                r"online\b|website|real product",
                r"tokens (per|a|each|every) second",
                r"fallback|backup",
                r"for (a|the) (real )?(school|company|phone)",
                r"look(s|ed)? after|contract\b|sla\b",
            ),
            weak=(
                r"schools?\b|university|faculty",
                r"users?\b|parents|pupils|teachers?|customers?|students\b",
                r"answers? in\b",
                r"api\b",
                r"secrets?\b|key\b",
                r"machine\b|phone\b",
                r"updat\w+",
                r"(runs?|running) (it|on)\b",
                r"secur\w+",
                r"depend\w*|integrat\w+",
                r"i would (use|take|choose|rent|put|go with)",
                r"recommend\w*|in practice|long run",
                r"running\b",
                r"swap\b",
                r"seconds? (per|for (a|each|one)) (query|question|answer)",
                r"disk\b|file\b",
            ),
        ),
    ),
    approaches={
        "dspy": (
            r"dspy",
            r"prompt(ed|ing)?[- ](program\w*|optimi[sz]\w+|model)|prompting\b|prompt:",
            r"(compiled|optimi[sz]ed|enhanced) (program|prompt|module)",
            r"part 1",
        ),
        "openai": (
            r"open ?ai|oai\b|gpt\b",
            r"(the |hosted |cloud )?service\b|cloud\b|hosted\b|vendor",
            r"(the |training |fine-?tuning )?job\b",
            r"fine-?tuned (model|service)",
            r"part 2",
        ),
        "lora": (
            r"q?lora\b|adapters?\b|peft\b",
            r"local(ly)?\b|at home\b",
            r"(our|my|the lab) (own )?(gpu|graphics card|card)",
            r"part 3",
        ),
    },
    facts=(
        *("dspy.before", "dspy.after", "dspy.seconds_per_query"),
        *("openai.before", "openai.after", "openai.training_seconds", "openai.training_usd"),
        *("openai.usd_per_query", "openai.base_usd_per_query", "openai.break_even_queries"),
        *("lora.before", "lora.after", "lora.training_seconds", "lora.peak_mib"),
        *("lora.tokens_per_second", "lora.adapter_kib", "lora.trainable_parameters"),
    ),
)
