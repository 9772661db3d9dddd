"""Every bound of the engine, by name, with its unit. Nothing here is read from the environment:
a batch replayed tomorrow must meet the bounds it met today."""

from __future__ import annotations

# Inputs
CONTACT_ID_BYTES_MAX = 256
EVENT_NAME_BYTES_MAX = 256
MESSAGE_ID_BYTES_MAX = 256
MESSAGE_BYTES_MAX = 32 * 1024  # one Segment message, one NDJSON line of an event
SEGMENT_BATCH_BYTES_MAX = 500 * 1024  # one body of POST /v1/batch
EVENTS_BODY_BYTES_MAX = 8 * 1024 * 1024  # one body of POST /v1/events
CONTROL_BYTES_MAX = 4 * 1024 * 1024  # one flow operation (a document of 150 nodes fits many times)
JSON_DEPTH_MAX = 32  # levels of nesting in properties and traits
LINE_DEPTH_MAX = 64  # the same of a whole message, with what we do not look at
CONTROL_DEPTH_MAX = 200  # the same of a flow operation
TRAITS_BYTES_MAX = 64 * 1024  # all traits of one contact, packed
EVENT_AGE_MS_MAX = 7 * 24 * 3600 * 1000  # older on arrival: history only, no run (rule 1)
RECENT_MESSAGES_MAX = 1 << 22  # message ids remembered for deduplication (rule 8)
RECENT_MESSAGES_SLACK = 1 << 19  # forgotten ones kept readable while a snapshot is read in slices

# Contacts
HISTORY_EVENTS_PER_NAME_MAX = 256  # newest events of a name kept per contact (rule 10)
HISTORY_NUMBERS_PER_EVENT_MAX = 16  # numeric properties kept of an event, for customer.sum
EVENT_NAMES_MAX = 65_536  # distinct event names an engine remembers
HISTORY_PROPERTIES_PER_NAME_MAX = 64  # distinct ones among the kept events of a name, per contact
KEYS_NUMBERED_MAX = 4_096  # keys of traits and properties kept as numbers; others are kept as they are
KEY_NUMBERED_BYTES_MAX = 64  # of one such key
ENDED_RUNS_PER_CONTACT_MAX = 8  # ended runs kept for a contact's history

# Flows
NODES_PER_FLOW_MAX = 150  # the launch node included
ACTIONS_PER_STEP_MAX = 20
BRANCHES_MIN, BRANCHES_MAX = 2, 5
TAGS_PER_FLOW_MAX = 32
TRIGGER_EVENTS_MAX = 32  # names in one trigger
WINDOWS_PER_WAIT_MAX = 16
DURATION_MS_MAX = 10 * 366 * 24 * 3600 * 1000  # ten years
REVENUE_MAX = 10**12  # of one goal event, in the currency's unit; more is taken for a mistake
LIMIT_PASSAGES_MAX = 10_000_000  # `max` of a limit node
LIMIT_PASSAGES_KEPT_MIN = (
    10_000  # newest passages of a limit node kept beyond its window, for edits that widen it
)
FLOWS_MAX = 10_000
FLOWS_MATCHED_FROM = 8  # flows of one event name; fewer are tried one by one
VERSIONS_PER_FLOW_MAX = 1_000
FLOW_DOCUMENT_BYTES_MAX = 2 * 1024 * 1024
YAML_ALIASES_MAX = 100  # a document that expands itself is refused
DOCUMENT_VALUES_MAX = 2_000_000  # values of one document (a scenario may be long), aliases expanded
DOCUMENT_DEPTH_MAX = 100  # levels of nesting of one document
PROBLEMS_PER_DOCUMENT_MAX = 1_000  # problems reported at once
NAME_BYTES_MAX = 256  # names, titles, folders, brands
MESSAGE_KEYS_MAX = 64  # keys of one message, of `set`, of `properties`
SEGMENTS_PER_ACTION_MAX = 64  # segments, or traits to unset, that one action names

# Expressions
EXPRESSION_BYTES_MAX = 8 * 1024
EXPRESSION_NODES_MAX = 1_000
EXPRESSION_DEPTH_MAX = 64
EXPRESSION_STEPS_MAX = 10_000  # evaluation steps; a comprehension over a million items is refused
EXPRESSION_MEMORY_BYTES_MAX = 1024 * 1024  # strings and lists one evaluation may make
EXPRESSION_PLANS_MAX = 4_096  # plans kept for texts that come again
EXPRESSION_ENVIRONMENTS_MAX = 256  # compilers kept, one for each scope

# Templates
TEMPLATE_BYTES_MAX = 64 * 1024
TEMPLATE_OUTPUT_BYTES_MAX = 256 * 1024
TEMPLATE_LOOPS_MAX = 10_000  # turns of all loops of one rendering
TEMPLATE_WORK_BYTES_MAX = 10 * 1024 * 1024  # template gone through in loops, text gone through in filters
TEMPLATE_VARIABLES_BYTES_MAX = 1024 * 1024  # what one rendering assigns
TEMPLATE_TAG_BYTES_MAX = 2 * 1024  # what is inside one {{ }} or {% %}
TEMPLATE_DEPTH_MAX = 64  # nesting of one expression of a template

# The kernel
CHAIN_DEPTH_MAX = 16  # events emitted by runs that events launched (rule 19)
CHAIN_EVENTS_MAX = (
    1_000  # such events of one contact at one instant: chains branch where an event launches several
)
TIMERS_PER_BATCH_MAX = 5_000  # runs that leave their waits in one batch
SCANNED_CONTACTS_MAX = 20_000  # contacts looked at for one page of a segment's members
REAPED_PER_BATCH_MAX = 5_000  # runs ended in one batch because a launch removed their wait (rule 27)
SWEEP_CONTACTS_PER_BATCH_MAX = 2_000  # contacts a scheduled launch looks at in one batch (rule 11)
OCCURRENCE_AGE_MS_MAX = 24 * 3600 * 1000  # a missed occurrence older than this is skipped (rule 11)
CODES_PER_POOL_MAX = 10_000_000
CODE_BYTES_MAX = 128
OUTBOX_EFFECTS_MAX = 10_000_000  # effects without a receipt; intake stops beyond
PROBLEMS_KEPT_MAX = 1_000  # newest entries under monitoring
DEAD_LETTERS_MAX = 1_000  # newest effects with the receipt `failed` that are kept to be tried again
DEAD_LETTERS_BYTES_MAX = 4 * 1024 * 1024  # of them, packed
PROBLEM_DETAIL_CHARS_MAX = 500  # of one entry's sentence, which may quote what a channel answered

# Batches and the journal
BATCH_INPUTS_MAX = 8_192
BATCH_BYTES_MAX = 4 * 1024 * 1024
INTAKE_QUEUE_BYTES_MAX = 32 * 1024 * 1024  # submitted and not yet in a batch; senders wait beyond
JOURNAL_MAP_BYTES = 64 * 1024**3  # address space, not disk
CHECKPOINT_MAP_BYTES = 64 * 1024**3
CHECKPOINT_PART_RECORDS_MAX = 256  # contacts packed at one go: a quarter of a millisecond out of the cache
CHECKPOINT_PART_BYTES = 512 * 1024  # a part ends with the record that reaches it
CHECKPOINT_EVERY_BYTES = 256 * 1024 * 1024  # of batches since the last checkpoint, at least
CHECKPOINT_STRETCH_MAX = (
    5  # times that at most: replaying 1,280 MiB takes twelve seconds at 370,000 events of 300 bytes
)
CHECKPOINT_SHARE_MAX = 0.75  # bytes of a checkpoint for each stored in the journal since; else it is put off
CHECKPOINT_EVERY_S = 300
CHECKPOINT_DELTAS_MAX = 16  # then a new base
ERASURE_S = 24 * 3600  # after a contact was deleted, at most, the store is compacted: nothing of it is left

# Connections
INTAKE_CONNECTIONS_MAX = (
    1_024  # of the intake and of the stream each; further ones are told so, if none is idle
)
INTAKE_HEADER_BYTES_MAX = 16 * 1024
OPEN_FILES_WANTED = 8_192  # descriptors asked of the system at start, where it allows so many
INTAKE_IDLE_S = 75
INTAKE_BODY_S = 30  # a body must arrive within this time
STREAM_READ_BYTES = 256 * 1024
INTAKE_BODIES_BYTES_MAX = 256 * 1024 * 1024  # bodies held by all connections; beyond, requests are shed (429)
INTAKE_STOP_S = 10  # what is under way when the engine stops may take this long
GZIP_MEMBERS_MAX = 64  # of one packed body
REJECTIONS_LISTED_MAX = 1_000  # bad lines named in one answer
STREAM_IN_FLIGHT_BYTES_MAX = (
    16 * 1024 * 1024
)  # of one stream, read and not yet durable; its sender waits beyond
LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX = 100, 1_000  # rows of one page

# The management API
API_CONNECTIONS_MAX = 1_024  # served at once; for one more the one idle longest is ended
API_HEADER_BYTES_MAX = 16 * 1024
API_IDLE_S = 75  # a connection without a complete request head, or silent, is closed
API_HANDSHAKE_S = 10  # TLS must be agreed upon within this time
API_BODY_S = 30  # a body must arrive within this time
API_ANSWER_S = 60  # an answer must be taken within this time
API_SIMULATE_INPUTS_MAX = 10_000  # inputs of one POST …/simulate
API_SIMULATE_TRACE_MAX = 50_000  # records of its trace that are returned
API_SIMULATE_S = 20  # it is given up after this time
KEYS_MAX = 256  # issued at a time; each request is compared with all of them
METRICS_FLOWS_MAX = 500  # flows with time series of their own

# Simulation
SIMULATED_BATCHES_MAX = 1_000  # batches applied between two looks at the clock on the wall
SIMULATED_TRACE_MAX = 1_000  # trace records gathered before they are given out
SIMULATED_EFFECTS_MAX = 10_000  # effects gathered before they are answered with receipts

# The schema
SCHEMA_FIELDS_MAX = 1_000  # traits, properties of one entity, or events that a schema declares

# The store and delivery
JOURNAL_COMPRESSED_FROM_BYTES = 4 * 1024  # smaller frames take a page anyway
STORE_VALUE_BYTES_MAX = 64 * 1024 * 1024  # far above any batch or piece: what claims to be longer is damaged
STORE_FULL_BELOW_BYTES = 1024 * 1024  # free on the disk: a write that failed has failed for want of room
COMPACTION_WAIT_S = 5.0  # for the batch that was being committed when the base was begun
STORE_COPY_BYTES = 4 * 1024 * 1024  # of records copied in one commit, when a store is rewritten or backed up
STORE_ASIDE_FROM_BYTES = 32 * 1024  # compressed in a worker thread; less is done before a thread is told
JOURNAL_READ_BYTES = 16 * 1024 * 1024  # frames read at one go in recovery
JOURNAL_TRIM_FRAMES_MAX = 128  # deleted in one commit, while appends wait
PIPELINE_INPUTS_MIN = 512  # queued inputs worth a batch while the former one is being committed
PIPELINE_BATCHES_MAX = 4  # batches applied and not yet durable
COMMIT_BYTES_MAX = 4 * 1024 * 1024  # frames that wait are committed together until they are that many
GARBAGE_NEW_OBJECTS = 10_000  # after so many Python's collector looks at the young ones
GARBAGE_YOUNG_COLLECTIONS = 10  # after so many of those at those that outlived one
GARBAGE_MIDDLE_COLLECTIONS = 100  # and after so many of these at all
PULSE_SLEEP_S_MAX = 1.0  # longest sleep towards a timer: jumps of the wall clock are noticed
CHECKPOINT_GATHERED_BYTES = 4 * 1024 * 1024  # of parts that are ready, compressed at one go
CHECKPOINT_PIECE_BYTES = 512 * 1024  # of the parts in a row; compressed, with a checksum of its own
CHECKPOINT_GROUP_BYTES = 512 * 1024  # of compressed pieces, then a commit: a millisecond of copying
RESTORE_MAPPED_BYTES_MAX = 64 * 1024**2  # of a checkpoint, in memory at a time while it is read
CHECKPOINT_GATHER_S = 0.001  # parts are taken one after the other for so long, then others have the loop
CHECKPOINT_REST = 3.0  # times as long as they had it
CHECKPOINT_PART_S = 0.001  # aim for the time one part takes the loop
CHECKPOINT_RETRY_S = 30  # after a checkpoint that found the disk full
STOP_FULL_S = 10  # a stop gives up committing to a full store after this time
DELIVERY_PAGE_EFFECTS = 64  # effects read from the outbox at one go
DELIVERY_RECEIPTS_MAX = 1_000  # receipts journaled in one operation
DELIVERY_BACKOFF_S, DELIVERY_BACKOFF_S_MAX = (
    1.0,
    3_600.0,
)  # pause before another attempt at an effect: the first, doubled each time, and the longest
DELIVERY_RETRY_AFTER_S_MAX = 3_600.0  # longest pause that the other side may ask for
DELIVERY_GIVE_UP_S = 24 * 3600.0  # an effect has failed for good no sooner after its first attempt
DELIVERY_ATTEMPTS_MIN = (
    36  # nor before so many attempts: pauses like those above leave room for them within a day,
)
# but at a destination that is down effects take turns, so a day may pass with few attempts at each
DELIVERY_ASIDE_MAX = 20_000  # effects of one lane that wait for another attempt; then it begins nothing new
DELIVERY_HELD_MAX = 10_000  # of them and those under way, for one destination; the others stay in the outbox
DELIVERY_HELD_DOWN_MAX = 1_000  # the same for one that is down
DELIVERY_FAILURES_MAX = 10  # in a row: then a destination is taken to be down
DELIVERY_PAUSE_S_MAX = 60.0  # between two attempts at one that is down
DELIVERY_STOP_S = 5  # a stop lets deliveries under way take this long

# Webhooks
WEBHOOK_URL_BYTES_MAX = 2_048
WEBHOOK_S, WEBHOOK_S_MAX = 15.0, 60.0  # for one attempt, from resolving the name to the end of the answer
WEBHOOK_CONNECT_S = 5.0  # for one address
WEBHOOK_ADDRESSES_MAX = 4  # of one name, tried in turn
WEBHOOK_RESOLVERS_MAX = 8  # names being resolved at once
WEBHOOK_ANSWER_BYTES_MAX = 64 * 1024  # read of an answer; beyond, the connection is closed
WEBHOOK_WORKERS, WEBHOOK_WORKERS_MAX = 8, 64  # messages on their way at once
WEBHOOK_IDLE_S = 30.0  # a connection is kept for the next message for so long
WEBHOOK_DISABLED_MAX = 10_000  # URLs remembered that said they are gone
WEBHOOK_SECRET_BYTES_MIN = 24
WEBHOOK_SECRETS_MAX = 4  # in force at once, while one takes the place of another
