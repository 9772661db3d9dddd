"""Bounds that a user can meet, by name, with their units: the engine's contract.

Nothing here is read from the environment. A batch that is replayed tomorrow must meet the bounds that it met today, so
a bound that the kernel applies changes only together with `engine.model.KERNEL_VERSION`. Sizes and intervals that
change neither the inputs that are accepted nor their outcome are in `engine.tuning`.
"""

from __future__ import annotations

# Inputs

CONTACT_ID_BYTES_MAX = 256
EVENT_NAME_BYTES_MAX = 256
MESSAGE_ID_BYTES_MAX = 256

# One Segment message, or one NDJSON line of an event.
MESSAGE_BYTES_MAX = 32 * 1024

# One batch of Segment messages: the body of a request.
SEGMENT_BATCH_BYTES_MAX = 500 * 1024

# One body of NDJSON lines.
EVENTS_BODY_BYTES_MAX = 8 * 1024 * 1024

# One operation on the engine; a flow of 150 nodes fits many times.
CONTROL_BYTES_MAX = 4 * 1024 * 1024

# Levels of nesting: in properties and traits, in a whole message with its ignored parts, in an operation.
JSON_DEPTH_MAX = 32
LINE_DEPTH_MAX = 64
CONTROL_DEPTH_MAX = 200

# All traits of one contact, packed.
TRAITS_BYTES_MAX = 64 * 1024

# An event that is older on arrival goes into the history and starts no run (rule 1).
EVENT_AGE_MS_MAX = 7 * 24 * 3600 * 1000

# Message ids remembered for deduplication (rule 8).
RECENT_MESSAGES_MAX = 1 << 22

# Contacts

# Newest events of a name kept per contact (rule 10).
HISTORY_EVENTS_PER_NAME_MAX = 256

# Numeric properties kept of one event, for customer.sum.
HISTORY_NUMBERS_PER_EVENT_MAX = 16

# Distinct names of numeric properties among the kept events of a name, per contact.
HISTORY_PROPERTIES_PER_NAME_MAX = 64

# Distinct event names that an engine remembers.
EVENT_NAMES_MAX = 65_536

# Ended runs kept for a contact's history.
ENDED_RUNS_PER_CONTACT_MAX = 8

# Flows

# The launch node included.
NODES_PER_FLOW_MAX = 150
ACTIONS_PER_STEP_MAX = 20
BRANCHES_MIN, BRANCHES_MAX = 2, 5
TAGS_PER_FLOW_MAX = 32

# Names of events in one trigger.
TRIGGER_EVENTS_MAX = 32
WINDOWS_PER_WAIT_MAX = 16

# Ten years.
DURATION_MS_MAX = 10 * 366 * 24 * 3600 * 1000

# Revenue of one goal event, in the currency's unit; more counts as a mistake, hence as 0.
REVENUE_MAX = 10**12

# `max` of a limit node.
LIMIT_PASSAGES_MAX = 10_000_000

# Newest passages of a limit node kept beyond its window, for edits that widen it.
LIMIT_PASSAGES_KEPT_MIN = 10_000
FLOWS_MAX = 10_000
VERSIONS_PER_FLOW_MAX = 1_000
FLOW_DOCUMENT_BYTES_MAX = 2 * 1024 * 1024

# Aliases in one YAML document, against a document that expands itself.
YAML_ALIASES_MAX = 100

# Values of one document, aliases expanded; a scenario may be long.
DOCUMENT_VALUES_MAX = 2_000_000

# Levels of nesting of one document.
DOCUMENT_DEPTH_MAX = 100

# Problems reported at once.
PROBLEMS_PER_DOCUMENT_MAX = 1_000

# A name, title, folder or brand.
NAME_BYTES_MAX = 256

# Keys of one message, of `set`, of `properties`.
MESSAGE_KEYS_MAX = 64

# Segments, or traits to unset, that one action names.
SEGMENTS_PER_ACTION_MAX = 64

# Expressions

EXPRESSION_BYTES_MAX = 8 * 1024
EXPRESSION_NODES_MAX = 1_000
EXPRESSION_DEPTH_MAX = 64

# Evaluation steps, against a comprehension over a million items.
EXPRESSION_STEPS_MAX = 10_000

# Strings and lists that one evaluation may make.
EXPRESSION_MEMORY_BYTES_MAX = 1024 * 1024

# Templates

TEMPLATE_BYTES_MAX = 64 * 1024
TEMPLATE_OUTPUT_BYTES_MAX = 256 * 1024

# Iterations of all loops of one rendering.
TEMPLATE_LOOPS_MAX = 10_000

# Template text processed in loops, and text processed by filters, in one rendering.
TEMPLATE_WORK_BYTES_MAX = 10 * 1024 * 1024

# Variables that one rendering assigns.
TEMPLATE_VARIABLES_BYTES_MAX = 1024 * 1024

# The text inside one {{ }} or {% %}.
TEMPLATE_TAG_BYTES_MAX = 2 * 1024

# Nesting of one expression of a template.
TEMPLATE_DEPTH_MAX = 64

# The kernel

# Depth of a chain of events that runs emit and events launch (rule 19).
CHAIN_DEPTH_MAX = 16

# Such events of one contact at one instant: chains branch where an event launches several runs.
CHAIN_EVENTS_MAX = 1_000

# Runs that leave their waits in one batch.
TIMERS_PER_BATCH_MAX = 5_000

# Contacts examined for one page of a segment's members.
SCANNED_CONTACTS_MAX = 20_000

# Runs ended in one batch because a launch removed their wait (rule 27).
REAPED_PER_BATCH_MAX = 5_000

# Contacts that a scheduled launch examines in one batch (rule 11).
SWEEP_CONTACTS_PER_BATCH_MAX = 2_000

# A missed occurrence that is older is skipped (rule 11).
OCCURRENCE_AGE_MS_MAX = 24 * 3600 * 1000
CODES_PER_POOL_MAX = 10_000_000
CODE_BYTES_MAX = 128

# Effects without a receipt; the intake refuses events beyond.
OUTBOX_EFFECTS_MAX = 10_000_000

# Newest entries under monitoring.
PROBLEMS_KEPT_MAX = 1_000

# Newest effects with the receipt `failed` that are kept for a retry, and their size, packed.
DEAD_LETTERS_MAX = 1_000
DEAD_LETTERS_BYTES_MAX = 4 * 1024 * 1024

# The sentence of one entry under monitoring, which may quote the answer of a channel.
PROBLEM_DETAIL_CHARS_MAX = 500

# Batches and the journal

BATCH_INPUTS_MAX = 8_192
BATCH_BYTES_MAX = 4 * 1024 * 1024

# Submissions that are not in a batch yet; senders wait beyond.
INTAKE_QUEUE_BYTES_MAX = 32 * 1024 * 1024

# Address space of each file, not disk: what the file can grow to.
JOURNAL_MAP_BYTES = 64 * 1024**3
CHECKPOINT_MAP_BYTES = 64 * 1024**3

# One value in the store, far above any batch or piece: a length beyond is corruption.
STORE_VALUE_BYTES_MAX = 64 * 1024 * 1024

# From the deletion of a contact to the compaction that leaves nothing of it in the files.
ERASURE_S = 24 * 3600

# A stop gives up committing to a full store after this time.
STOP_FULL_S = 10

# Connections

# Of the intake and of the stream each. For one more, the one that is idle longest ends; else the new one is refused.
INTAKE_CONNECTIONS_MAX = 1_024
INTAKE_HEADER_BYTES_MAX = 16 * 1024

# A connection without a request ends after this time.
INTAKE_IDLE_S = 75

# A body must arrive within this time.
INTAKE_BODY_S = 30

# Bodies held by all connections; requests beyond are shed.
INTAKE_BODIES_BYTES_MAX = 256 * 1024 * 1024

# Requests in progress may take this long when the engine stops.
INTAKE_STOP_S = 10

# Members of one gzip body.
GZIP_MEMBERS_MAX = 64

# Bad lines listed in one answer.
REJECTIONS_LISTED_MAX = 1_000

# Bytes of one stream that are read and not durable yet; its sender waits beyond.
STREAM_IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024

# Rows of one page.
LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX = 100, 1_000

# The management API

# Served at once; for one more, the one that is idle longest ends.
API_CONNECTIONS_MAX = 1_024
API_HEADER_BYTES_MAX = 16 * 1024

# A connection without a complete request head ends after this time.
API_IDLE_S = 75

# The TLS handshake, the body of a request, and the peer's reading of an answer must be complete within these times.
API_HANDSHAKE_S = 10
API_BODY_S = 30
API_ANSWER_S = 60

# Inputs of one simulation or backtest, records of its trace that are returned, and the time it may take.
API_SIMULATE_INPUTS_MAX = 10_000
API_SIMULATE_TRACE_MAX = 50_000
API_SIMULATE_S = 20

# Valid keys; each request is compared with all of them.
KEYS_MAX = 256

# Flows that have time series of their own.
METRICS_FLOWS_MAX = 500

# The schema

# Traits, properties of one entity, or events that a schema declares.
SCHEMA_FIELDS_MAX = 1_000

# Delivery

# Pause before another attempt at an effect: the first, doubled each time, and the longest.
DELIVERY_BACKOFF_S, DELIVERY_BACKOFF_S_MAX = 1.0, 3_600.0

# Longest pause that the receiver may ask for.
DELIVERY_RETRY_AFTER_S_MAX = 3_600.0

# An effect is given up no sooner than this time after its first attempt, and no sooner than this number of attempts.
# The pauses above leave room for them within a day. At a destination that is down effects take turns, so that a day
# may pass with few attempts at each.
DELIVERY_GIVE_UP_S = 24 * 3600.0
DELIVERY_ATTEMPTS_MIN = 36

# Effects of one channel that wait for another attempt; beyond, the channel begins no new effect.
DELIVERY_ASIDE_MAX = 20_000

# Effects for one destination that wait or are in flight, and the same for one that is down; others stay in the outbox.
DELIVERY_HELD_MAX = 10_000
DELIVERY_HELD_DOWN_MAX = 1_000

# Failures in a row after which a destination counts as down, and the longest pause between two attempts at it.
DELIVERY_FAILURES_MAX = 10
DELIVERY_PAUSE_S_MAX = 60.0

# Deliveries in flight may take this long when the engine stops.
DELIVERY_STOP_S = 5

# Webhooks

WEBHOOK_URL_BYTES_MAX = 2_048

# One attempt, from the resolution of the name to the end of the answer: the default, and the longest to configure.
WEBHOOK_S, WEBHOOK_S_MAX = 15.0, 60.0

# The connection to one address.
WEBHOOK_CONNECT_S = 5.0

# Addresses of one name that are tried in turn.
WEBHOOK_ADDRESSES_MAX = 4

# Bytes read of an answer; beyond, the connection is closed.
WEBHOOK_ANSWER_BYTES_MAX = 64 * 1024

# Messages in flight: the default, and the most to configure.
WEBHOOK_WORKERS, WEBHOOK_WORKERS_MAX = 8, 64

# URLs remembered that answered 410 Gone.
WEBHOOK_DISABLED_MAX = 10_000
WEBHOOK_SECRET_BYTES_MIN = 24

# Secrets valid at once, while one replaces another.
WEBHOOK_SECRETS_MAX = 4
