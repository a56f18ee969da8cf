"""Every bound in one place, with its unit. Settings may tighten some of them."""

INLINE_BYTES = 64 * 1024
"""A payload over this goes to a blob file; smaller ones are rows beside the events."""

SHOWN_BYTES = 8 * 1000
"""One call's output on the wire, escapes and wrappers included."""

ENVELOPE_BYTES = 200
"""What a wire may wrap around one result: role, call id, braces. Part of the bounds on what is shown."""

NOTE_BYTES = 400
"""What a result says first of a call that had to be mended, beside what the tool shows."""

READ_SHOWN_BYTES = 40 * 1000
"""One `read` of a source file on the wire: exempt from head-and-tail, bounded all the same."""

READ_LINES = 2000
"""Lines that one `read` gives when it is not told a limit."""

LINE_CHARS = 2000
"""A longer line is cut, with a note."""

PICTURE_BYTES = 5 * 1024 * 1024
"""The largest picture that `read` shows."""

SEARCH_LINES = 250
"""Lines that `grep` and `glob` give when they are not told a limit."""

SEARCH_BYTES = 4 * 1024 * 1024
"""What is taken from one search before it is filtered and cut."""

EDIT_BYTES = 10 * 1024 * 1024
"""The largest file that `edit` and `write` work on."""

SPOOL_BYTES = 64 * 1024 * 1024
"""Output of one command kept on disk; after it only the last `SPOOL_TAIL_BYTES` are."""

SPOOL_TAIL_BYTES = 1024 * 1024

COMMAND_TIMEOUT_S = 120.0
"""The default time-out of a command in the foreground."""

COMMAND_TIMEOUT_MAX_S = 600.0

GOAL_TIMEOUT_S = COMMAND_TIMEOUT_MAX_S
"""How long the check of a goal may take, where nobody says."""

GOAL_OFF = "off"
"""The word that lifts a goal, in the place of a command."""

GOAL_SAME_IDLE = 3
"""So many failures of a goal's check that look the same, with no change of files between, end the turn."""

GOAL_SAME = (6, 9)
"""So many that look the same although files change: the model is told more plainly, then the turn ends. A
cause may take a few edits to find; the ninth in vain is no search any more."""

GOAL_CANNOT_RUN = 2
"""A check that could not run gets one chance to be provided with what it needs."""

GOAL_WORDS_BYTES = 1000
"""What is said around the output of a check, of what one call may show."""

VERIFIED_COMMANDS = 10
VERIFIED_CHARS = 200
"""Checks since the last change that are named at the end of a turn, and of each so much."""

PARALLEL_CALLS = 8
"""Calls of one reply that may run side by side."""

CALLS_PER_REPLY = 128
"""More calls than this in one reply are refused, each with a result that says so."""

SHRINK_SHARE = 0.8
"""The share of the context window at which history is shrunk."""

LEARNT_SHARE = 0.9
"""Of what a request took that was too long, this much is taken for the window, where no size is named."""

OUTPUT_SPARE_TOKENS = 1024
"""Kept free in the window for what is counted wrong, and the least output that is asked for."""

WARNED_SHARE = 0.8
"""When so much of a limit is used, the model and the person are told."""

RESERVED_SHARE = 0.25
"""Of what is left of a budget, one request gets no more than this for its reply: what is set aside for it
counts as spent if its end is never known, and others may need money at the same time."""

REPLY_TOKENS = 8 * 1024
"""But a reply of this length is asked for as long as what is left pays for it."""

PRICE_AHEAD_S = 3600.0
"""A reply that comes so much later may cost what is asked for then."""

ATTEMPTS = 5
"""Attempts at one step whose replies are of no use, in the same way, before that ends the turn."""

PATIENCE_S = 1800.0
"""How long a provider that cannot serve is waited for in all, where nobody is there to decide."""

STAND_IN_AFTER_S = 20.0
"""After so much trouble with one model another one that may stand in for it is asked."""

STAND_IN_S = 60.0
STAND_IN_MOST_S = 960.0
"""How long another model stands in before the first one is tried again: doubled each time that fails."""

BACKOFF_FIRST_S = 0.2
BACKOFF_MOST_S = 30.0

PROBE_S = 20.0
"""A request that tries whether a provider answers again keeps others out for so long, if it hears nothing."""

SHUT_MOST_S = 24 * 3600.0
"""A longer wait that a server asks for is cut to this."""

WAIT_JOBS_S = 600.0
"""How long a headless run waits for background jobs before it stops them."""

CHECKPOINT_ENTRIES = 2000
"""After so many entries a session keeps what its log has come to, so that a resume is quick."""

CHECKPOINT_PART = 20
"""And not before the log has grown by one part in so many."""

LOG_FORMAT = 1
"""The log format that this version writes, and the newest that it reads."""

SNAPSHOT_FILES = 50_000
"""Files of a workspace that a snapshot covers. What is beyond is named, and left alone."""

SNAPSHOT_BYTES = 2 * 1024**3

SNAPSHOT_CHUNK_BYTES = 4 * 1024 * 1024
"""A larger file is kept in pieces of this size: no more of it is held at once."""

PACK_MEMORY_BYTES = 1024 * 1024
"""New contents of one snapshot that are held in memory; after it they go to a file."""

PACK_BYTES = 64 * 1024 * 1024
"""After this another pack is begun."""

REPEATED_FAILURES = 4
"""So many failures of one kind, each after other changes: going back is offered. Two are usual in good work,
and the third is often the one that finds it."""

FAILURE_NOTE_BYTES = 300
"""What hames adds to the result of a command that failed."""

LEDGER_FILES = 500
LEDGER_COMMANDS = 200
LEDGER_FAILURES = 40
"""What the ledger holds of each at most, the newest."""

SEEN_STEPS = 100
"""For so many steps a result, a plan or a state of the files is remembered: within them it is no news."""

STUCK_CYCLE = 5
"""The longest cycle of steps that is looked for."""

STUCK_SAME = (3, 5, 8)
"""The same call with the same result so many times in a row: the model is told, told again, stopped. Once
may be a slip and twice a doubt; after the eighth nobody has yet seen the ninth help."""

STUCK_ROUNDS = (3, 4, 5)
"""As `STUCK_SAME`, for whole rounds of a longer cycle, and for edits that are undone and made again. A round
costs several steps, so fewer are enough."""

STUCK_STEPS = (40, 60, 80)
"""As `STUCK_SAME`, for steps in a row that bring nothing new. Reading on and on in a large project brings
something new at each step, so that only going round in it comes here."""

STUCK_PATIENCE = 3
"""So many times as many rounds are needed where the words repeat but something else was new in them: a
program that does its next piece without a word, or a test that leaves another file each time."""

STUCK_WAIT_S = 10.0
"""A step that took so long and went well may have waited for something: only `STUCK_STEPS` counts it."""
