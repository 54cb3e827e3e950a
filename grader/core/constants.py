"""Every limit and fixed number, with its unit in the name and its reason beside it."""

from __future__ import annotations

import sys
from typing import Final

MIB: Final = 1024 * 1024
FORK_WITH_TORCH: Final = sys.platform == "linux"  # Apple's libraries do not survive a fork

# --- question sets -----------------------------------------------------------------------------
HIDDEN_QUESTIONS: Final = 150  # standard error of a score is then at most 4 points in a hundred
HIDDEN_MIN_QUESTIONS: Final = 10  # fewer say nothing about a gain, whatever the answers
QUESTION_FILE_MAX_BYTES: Final = 64 * MIB  # an instructor's own file; far above any real one

# --- predictions -------------------------------------------------------------------------------
PREDICT_ROWS: Final = 32  # rows of every batch, whoever is graded
PREDICT_LENGTH_STEP_TOKENS: Final = 8  # prompts are left-padded to a multiple of this
PREDICT_MAX_PROMPT_TOKENS: Final = 1024  # a longer hidden question is a configuration error
ENGINE_VERSION: Final = "1"  # part of every evidence key; raise it when answers could change

# --- statistics --------------------------------------------------------------------------------
BOOTSTRAP_RESAMPLES: Final = 9_999  # scipy's default; the interval's own noise is then ~1 %
BOOTSTRAP_SEED: Final = 20_260_101  # fixed: the same answers always give the same interval
CONFIDENCE: Final = 0.95

# --- integrity ---------------------------------------------------------------------------------
SKETCH_SIZE: Final = 256  # numbers kept of an adapter's effect to tell a copy
COPY_COSINE: Final = 0.9999  # rescaled or rounded copies stay above this
NEAR_COPY_COSINE: Final = 0.95  # a copy with noise; honest trainings on the same data reach 0.7
# Each lies above all honest pairs and below noised copies (python scripts/measure_copies.py).
ROW_SPACE_SIZE: Final = 8192  # numbers kept: products of row spaces are then right to 0.01
COPY_ROW_SPACES: Final = 0.15  # of what adapters read in common; seeds of their own reach 0.10
COPY_LOGLIKS: Final = 0.97  # least correlation of log-likelihoods; hardly trained ones reach 0.95
COPY_WRONG_SHARE: Final = 0.9  # of wrong answers that hardly trained adapters have in common
COPY_WRONG_P: Final = 1e-4  # of so many in common even so
COPY_MIN_WRONG: Final = 5  # others who must be wrong too before their answers count
LEAK_MIN_QUESTIONS: Final = 3  # one or two hidden questions in own data are met by chance
LEAK_MAX_BYTES: Final = 32 * MIB  # of a submission's text that is searched for hidden questions
LEAK_SHARE: Final = 0.05  # of all hidden questions; honest data on the same topic stays far below

# --- names -------------------------------------------------------------------------------------
COURSE_MODEL: Final = "course-model"  # the base that ships with the project
PROMPTED_MODELS: Final = ("course-model-reader", "course-model-chat")  # those of Part 1
SHIPPED_BASES: Final = (COURSE_MODEL, *PROMPTED_MODELS)  # folders of starter/

# --- the student's own numbers -----------------------------------------------------------------
REPRODUCED_TOLERANCE: Final = 0.10  # beyond chance: seeds and machines move a training a little
CARRIED_MAX_BYTES: Final = 128 * 1024  # of a training's own code and data; the solution's has 8 kB
TRAINER_STATE_MAX_BYTES: Final = 1024 * 1024  # 2 kB in an epoch of the solution
SAME_ANSWERS_AT_LEAST: Final = 0.9  # of the engine's: other number formats change one in ten
TRIALS_MAX_BYTES: Final = 256 * 1024
TRIALS_MAX: Final = 200
TRIAL_LOSS_APART: Final = 0.02  # of a trial run again: losses near 0 differ by a factor by seed
TRIAL_LOSS_FACTOR: Final = 2.0
METRICS_MAX_BYTES: Final = 64 * 1024  # a metrics.json is under 2 kB
CLAIM_TOLERANCE: Final = 0.10  # beyond chance: public and hidden questions are not equally hard

# --- a student's benchmark ---------------------------------------------------------------------
BENCHMARK_MIN_QUESTIONS: Final = 50  # the course's number
BENCHMARK_MAX_QUESTIONS: Final = 200  # for every approach: about a minute for the slowest
BENCHMARK_MAX_BYTES: Final = MIB  # 200 questions take 60 kB
COPY_MIN_WORDS: Final = 4  # of a question that is looked for within others
BENCHMARK_MAX_TEXT_BYTES: Final = 300  # question, answer, system text: together within a prompt

# --- a student's domain ------------------------------------------------------------------------
DOMAIN_QUESTIONS: Final = 100  # hidden ones of a domain; elements have 69 facts on 23 subjects
DOMAIN_MAX_PAIRS: Final = 2_000  # of training or test data that are read; courses ask for twenty
DOMAIN_MAX_PROMPT_BYTES: Final = 800  # of a question with all before it: surely within a prompt
DOMAIN_MIN_JUDGED: Final = 0.5  # of the answers, for a share of those that agree with the topic

# --- intake ------------------------------------------------------------------------------------
JSON_MAX_DEPTH: Final = 32  # real configs and records stay below 10; far from Python's own limit
JSON_MAX_INTEGER: Final = 2**63 - 1  # what every language can hold
INTAKE_MAX_FILES: Final = 2_000  # an honest submission has fewer than 100
INTAKE_MAX_FILE_BYTES: Final = 512 * MIB  # a rank-64 adapter of a 7B model is about 320 MiB
INTAKE_MAX_TOTAL_BYTES: Final = 1024 * MIB  # the adapter, its data, and room to spare
INTAKE_MAX_DEPTH: Final = 16  # folders below each other
INTAKE_MAX_PATH_CHARS: Final = 200  # Windows refuses 260, and the course's own folders come first
INTAKE_MAX_STUDENT_CHARS: Final = 128
INTAKE_READ_BYTES: Final = MIB  # files are hashed and extracted in pieces of this size
ARCHIVE_MAX_BYTES: Final = 1024 * MIB
ARCHIVE_MAX_MEMBERS: Final = 20_000  # a virtual environment left in is skipped, not refused
ARCHIVE_MAX_RATIO: Final = 200  # repetitive JSONL reaches about 100, deflate's own limit is 1032
ARCHIVE_RATIO_FROM_BYTES: Final = 4 * MIB  # below this no ratio does harm
UNPACKED_AT_ONCE: Final = 4  # submissions kept unpacked although nothing reads them just now
UNPACK_RESERVE_BYTES: Final = 16 * MIB  # left free: runs and the store write beside it
FREE_MIN_BYTES: Final = 64 * MIB  # to begin a grading with, for temporary files and for the store
SUBMISSIONS_CSV_MAX_BYTES: Final = 16 * MIB  # an instructor's own record, far above any class

# --- adapters ----------------------------------------------------------------------------------
ADAPTER_MAX_RANK: Final = 64  # more is not a low-rank adapter of a small model any longer
ADAPTER_MAX_ALPHA: Final = 1024  # 16 times the largest rank
ADAPTER_MAX_CONFIG_BYTES: Final = 64 * 1024  # peft writes about 1 KiB
ADAPTER_MAX_HEADER_BYTES: Final = MIB  # 4096 tensors take about half of it
ADAPTER_MAX_TENSORS: Final = 4096  # all-linear on a 200-layer model has 2800
ADAPTER_MAX_BYTES: Final = INTAKE_MAX_FILE_BYTES
ADAPTER_MAX_ABS: Final = 1e4  # trained weights stay below 10; float16 overflows at 65504
ADAPTER_MIN_EFFECT: Final = 1e-7  # Frobenius norm of all changes to the base: zero but for rounding

# --- reports -----------------------------------------------------------------------------------
RESULT_DECIMALS: Final = 6  # digits kept of any number written, so that a file never flickers
REPORT_MAX_TEXT_CHARACTERS: Final = 500  # of one text from a submission: keeps pages small
LESSON_MAX_TEXT: Final = 300  # characters of a question or an answer; a right one has a few words
LESSON_MAX_POINTS: Final = 100  # of a learning curve; a page is 700 points wide
LESSON_MAX_STATE_BYTES: Final = 2 * MIB  # of what a trainer writes of its steps; honest: 20 kB
REPORT_MAX_STEPS: Final = 8  # named as next; more are no plan
REPORT_MAX_WRONG: Final = 25  # answers shown of each list; the first teach most
REPORT_MAX_NAME_CHARACTERS: Final = 64  # of a student's id
REPORT_MAX_PATH_CHARACTERS: Final = 120  # of a path or a JSON pointer: two lines of a page
REPORT_MAX_PASS_CHARACTERS: Final = 300  # of a passed check's message: there are many of them
REPORT_MAX_FILES_LISTED: Final = 100  # on a student's page; more are counted
REPORT_SAME_MEASURE: Final = 0.1  # measures that differ by a smaller share count as equal
REPORT_MAX_NAMED_STUDENTS: Final = 40  # more names than this overlap in a chart
REPORT_MAX_LABELLED_LINES: Final = 20  # more labels than this beside a slope chart overlap
REPORT_SHORT_DIGEST_CHARACTERS: Final = 12  # of a hash: enough to tell two apart by eye
GITHUB_MAX_ANNOTATIONS: Final = 10  # of each kind; GitHub shows no more for one step
REPORT_MAX_LISTED_QUESTIONS: Final = 200  # on the class page, hardest first: keeps it small

# --- source checks -----------------------------------------------------------------------------
SOURCE_MAX_BYTES: Final = 256 * 1024  # a long script has 30 kB; far from where Python's parser dies
SOURCE_MAX_DEPTH: Final = 150  # levels of syntax inside each other; honest scripts stay below 40
SECRETS_MAX_BYTES: Final = 64 * MIB  # of a submission's sources that are searched for keys
SOURCE_MAX_LINES: Final = 20_000  # a long script has 1,000
SOURCE_MAX_DOTS: Final = 150  # in one name, as levels of syntax are: Python's parser is quadratic
SOURCE_MAX_BESIDE_BYTES: Final = 2 * MIB  # of all modules beside a script
SOURCE_MAX_STEPS: Final = 100_000  # nodes followed, calls into functions counted anew
SOURCE_MAX_ORIGINS: Final = 200  # expressions that one value is traced back through
DOCSTRING_SHARE_AT_LEAST: Final = 0.8  # of the module and its public functions and classes
DOCUMENTED_LINES_AT_LEAST: Final = 20  # of the student's own; fewer need no documentation
COMMENT_SHARE_AT_LEAST: Final = 0.03  # comments a line of code: one for every 33 lines
NEW_STATEMENTS_AT_LEAST: Final = 15  # a filled-in kit has about 40 that the example has not
NEW_STATEMENTS_REVIEW_FROM: Final = 5  # fewer are an edit of the example, more may be a short idea

# --- DSPy programs and metrics -----------------------------------------------------------------
CHANGED_SHARE_AT_LEAST: Final = 0.5  # of answers, when the model says something else: a table has
# none, a program that returns the model's words all; one that corrects some lies between
ADDITION_SHARE_AT_LEAST: Final = 0.5  # of questions: most of them
PARSE_FAILURE_SHARE_AT_MOST: Final = 0.05  # above the original's
PASSAGE_MIN_WORDS: Final = 4  # of a sentence; a label or a name has fewer
EXTRA_PAIRS_AT_LEAST: Final = 5  # the course's number
PAIR_MAX_ANSWER_WORDS: Final = 12  # more cannot be scored by exact match
METRIC_SAME: Final = 0.05  # scores no farther apart count as equal
METRIC_BOTTOM: Final = 0.1  # of 1: what a metric may give for nothing
METRIC_SHARE_AT_LEAST: Final = 0.8  # of comparisons: a metric of words cannot know all meanings
AGREEMENT_AT_LEAST: Final = 0.7  # rank correlation: strong; word matching stays below

# --- starter kits ------------------------------------------------------------------------------
GIVEN_MAX_BYTES: Final = 256 * 1024  # of a file that may be the kit's own; the largest has 20 kB
DOCUMENT_OWN_WORDS_AT_LEAST: Final = 2  # that are not the template's; one says nothing
KIT_LINE_CHARACTERS: Final = 100  # a stub that is longer goes on three lines, as the project's code
STILL_TO_WRITE: Final = "still to write:"  # in the text with which a stub of the kit ends a program

# --- adapters ----------------------------------------------------------------------------------
ADAPTER_CONFIG: Final = "adapter_config.json"  # where peft says what an adapter is

# --- training data -----------------------------------------------------------------------------
DATA_MAX_FILE_BYTES: Final = 512 * MIB  # what the service takes at upload
COURSE_DATA_MAX_BYTES: Final = 8 * MIB  # of a submitted data set: 40,000 questions; 20 are asked
DATA_MAX_LINE_BYTES: Final = 16 * MIB  # one image of 10 MB takes 13.4 MB in base64
DATA_MAX_DEPTH: Final = 64  # levels of JSON: the parameters of a tool are a schema of their own
DATA_BLOCK_BYTES: Final = 256 * 1024  # read at once: in the processor's cache, few calls
DATA_MIN_EXAMPLES: Final = 10  # what the service asks for
DATA_KEPT_FAULTS: Final = 1_000  # of each code, with their places; all are counted
DATA_MAX_FAULTS: Final = 200_000  # of lines; then reading stops: some seconds, more than help
DATA_MAX_NAME_CHARACTERS: Final = 64  # of "name" in a message and of a function
DATA_MAX_TOOLS: Final = 128  # functions that one example may declare
DATA_MAX_IMAGES: Final = 10  # in one example
DATA_MAX_IMAGE_BYTES: Final = 10_000_000
DATA_MAX_IMAGE_EXAMPLES: Final = 50_000  # in one file

# --- the model service of a sandboxed run ------------------------------------------------------
GATEWAY_CLOSE_SECONDS: Final = 5.0  # that a broken-off request may take to end; it takes none
RECORD_MAX_BODY_BYTES: Final = 2 * MIB  # kept of one request or answer; a long prompt has 100 kB
RECORD_MAX_BYTES: Final = 16 * MIB  # kept of a run: 2,000 requests of 8 kB
SUBMISSION_MAX_EVIDENCE_BYTES: Final = 32 * MIB  # stored of all runs; the solution's take 4
TRANSCRIPT_VERSION: Final = "2"  # part of every key; raise it when a run could go otherwise
SCRIPT_RUN_VERSION: Final = "1"  # as TRANSCRIPT_VERSION, of runs of local scripts
RUN_RESULTS_MAX_BYTES: Final = 2 * MIB  # stored of the files that a run left; honest ones have 2 kB
MODULE_MAX_BYTES: Final = 16 * MIB  # that a module's run may say; an honest one says 300 kB
MODULE_MAX_FOUND_LINES: Final = 2_000  # results of a module; an honest one has 500
MODULE_MAX_FOUND_BYTES: Final = 64 * 1024  # of one of them
ANSWER_MAX_CHARACTERS: Final = 2_000  # kept of one answer or error; a right answer has a few words
ANSWER_MAX_EXTRA: Final = 20  # pairs of a student's own that are asked; five are required
TRANSCRIPT_SEED: Final = 20_260_101  # of the scenarios' faults: the same for everybody

# --- sandbox -----------------------------------------------------------------------------------
SANDBOX_UID: Final = 61_000  # no account, outside systemd's ranges, below what containers map
SANDBOX_RUN_UIDS: Final = range(61_001, 61_184)  # one for each run without a namespace of users
SANDBOX_CONTAINER_MEMORY_FACTOR: Final = 1.25  # of the memory limit: the engine's own comes last
SANDBOX_CONNECT_SECONDS: Final = 2.0  # for a busy service to take a connection
SANDBOX_SEEN_UID: Final = 65_534  # the uid inside the sandbox: nobody
SANDBOX_ROOT_BYTES: Final = MIB  # of the file system's root: mount points and a few small files
SANDBOX_TMP_SHARE: Final = 0.5  # of the working folder's size, each for /tmp and /dev/shm
SANDBOX_DISK_SLACK_BYTES: Final = (
    4 * MIB
)  # a folder is larger than its limit, so that passing shows
SANDBOX_COPY_MAX_BYTES: Final = 8 * MIB  # larger files of a submission are mounted, not copied
SANDBOX_START_SECONDS: Final = 30.0  # to make ready; it takes 0.05, on a machine that swaps more
SANDBOX_TICK_SECONDS: Final = 0.05  # between two checks: enough for 20 forks of 300 MiB
SANDBOX_END_SECONDS: Final = 10.0  # for the kernel to tear down what was killed
SANDBOX_READ_BYTES: Final = 64 * 1024  # of output at once: a pipe holds no more
SANDBOX_CPU_SLACK_SECONDS: Final = 2  # the kernel's own limit comes after the watchdog's
SANDBOX_CPU_SEEN_SHARE: Final = 0.9  # of the limit: a busy watchdog saw the rest too late
SANDBOX_DATA_FACTOR: Final = 1.5  # of the memory limit for one process: the watchdog comes first
SANDBOX_STATUS_MAX_BYTES: Final = 64 * 1024  # of what comes from inside or from the launcher
HARVEST_MAX_DEPTH: Final = 16  # folders below each other, as at intake
HARVEST_MAX_ENTRIES: Final = 50_000  # looked at; the limit on files in the scratch folders is lower
HARVEST_MAX_LISTED: Final = 1_000  # sizes of files that a run made: checkpoints have ten files each
HARVEST_MAX_REFUSED: Final = 100  # named; more say nothing new

# --- notebooks and written work ----------------------------------------------------------------
NOTEBOOK_MAX_BYTES: Final = 32 * MIB  # dozens of plots; one is some 100 kB
NOTEBOOK_MAX_CELLS: Final = 2_000  # a long one has 200
NOTEBOOK_MAX_TOKENS: Final = 1_000_000  # of its JSON: a line of code is one; read in half a second
DOCUMENT_MAX_BYTES: Final = 32 * MIB  # a report with photographs
DOCUMENT_MAX_CHARACTERS: Final = 400_000  # a book of 200 pages
DOCUMENT_SECONDS: Final = 30  # of processor time; a report of 20 pages takes one
DOCUMENT_WALL_SECONDS: Final = 180  # a machine that is busier than this is at fault itself
DOCUMENT_MEMORY_BYTES: Final = 1024 * MIB  # a Word file of 30 MiB takes a fifth of it
PDF_PAGE_MIN_LETTERS: Final = 20  # on average; page numbers on scanned pages stay below
PDF_MAX_UNKNOWN_SHARE: Final = 0.3  # of all letters, where a font does not say what it shows
TEXT_VERSION: Final = "2"  # part of every key; raise it when a document could read otherwise

# --- reviews -----------------------------------------------------------------------------------
REVIEW_MAX_SOURCE_BYTES: Final = 256 * 1024  # kept of one program that is judged: 5,000 lines
REVIEW_MAX_COMMENT_CHARACTERS: Final = 10_000  # of one item; a page has 3,000
REVIEW_MAX_FACTS_CHARACTERS: Final = 600  # in a cell of the table
REVIEW_MAX_DIFF_LINES: Final = 2_000  # of a text that is compared; longer ones could take minutes
REVIEW_MAX_TABLE_BYTES: Final = 64 * MIB  # 1,000 students with 20 items and long comments

# --- the review page ---------------------------------------------------------------------------
WEB_SESSION_SECONDS: Final = 12 * 3600  # a working day
WEB_LOGIN_FAILURES: Final = 10  # of one address within WEB_LOGIN_SECONDS; links cannot be guessed
WEB_LOGIN_SECONDS: Final = 60
WEB_MAX_BODY_BYTES: Final = 128 * 1024  # of a request: a comment has at most 40 kB
WEB_SHOWN_CHARACTERS: Final = 60_000  # of one text: 20 pages; the rest is a link away
WEB_SHOWN_DIFFERENCE: Final = 20_000  # characters of what changed since a decision
WEB_FACTS_KEPT: Final = 256  # documents whose facts a server keeps; a class has as many
WEB_REUSED_COMMENTS: Final = 9  # offered of one item, the most frequent first
