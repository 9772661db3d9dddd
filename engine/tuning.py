"""Sizes and intervals that make the engine fast: each with its unit and its reason.

They are no promise. Each may change with a release, or in a test: neither the inputs that are accepted nor their
outcome depend on them. Bounds that a user can meet are in `engine.limits`.
"""

from __future__ import annotations

# Memory

# Forgotten message ids that stay readable while a snapshot reads the newest ones in slices.
RECENT_MESSAGES_SLACK = 1 << 19

# Keys of traits and properties stored as numbers, and the longest such key; other keys are stored as text.
KEYS_NUMBERED_MAX = 4_096
KEY_NUMBERED_BYTES_MAX = 64

# Flows of one event name from which on they are filtered together; below, trying each is as fast.
FLOWS_MATCHED_FROM = 8

# Plans cached for expressions that come again, and compilers cached, one for each scope.
EXPRESSION_PLANS_MAX = 4_096
EXPRESSION_ENVIRONMENTS_MAX = 256

# Objects made until Python's collector examines the young ones, collections of the young until it examines the middle
# ones, and collections of the middle ones until it examines all: millions of live objects make a full one expensive.
GARBAGE_NEW_OBJECTS = 10_000
GARBAGE_YOUNG_COLLECTIONS = 10
GARBAGE_MIDDLE_COLLECTIONS = 100

# Ingest

# Queued inputs that are worth a batch while the batch before is being committed.
PIPELINE_INPUTS_MIN = 512

# Batches that are applied and not durable yet.
PIPELINE_BATCHES_MAX = 4

# Frames that wait are committed together up to this size: one fsync serves them all.
COMMIT_BYTES_MAX = 4 * 1024 * 1024

# Longest sleep towards a timer, so that jumps of the wall clock are noticed.
PULSE_SLEEP_S_MAX = 1.0

# Bytes read from a stream at once.
STREAM_READ_BYTES = 256 * 1024

# Descriptors requested of the system at start, where it allows them.
OPEN_FILES_WANTED = 8_192

# The journal

# Smaller frames are not compressed: they take a page of the store anyway.
JOURNAL_COMPRESSED_FROM_BYTES = 4 * 1024

# Frames read at once in recovery.
JOURNAL_READ_BYTES = 16 * 1024 * 1024

# Frames deleted in one commit, while appends wait.
JOURNAL_TRIM_FRAMES_MAX = 128

# The store

# A write that failed with less free space on the disk than this counts as failed for lack of room.
STORE_FULL_BELOW_BYTES = 1024 * 1024

# Records copied in one commit, when a store is compacted or backed up.
STORE_COPY_BYTES = 4 * 1024 * 1024

# Values from this size on are compressed in a worker thread; smaller ones take less time than the switch.
STORE_ASIDE_FROM_BYTES = 32 * 1024

# A compaction waits this long for the batch that was being committed when its base began.
COMPACTION_WAIT_S = 5.0

# Checkpoints

# Journaled bytes, and time, from one checkpoint to the next.
CHECKPOINT_EVERY_BYTES = 256 * 1024 * 1024
CHECKPOINT_EVERY_S = 300

# A checkpoint may be put off to this multiple of CHECKPOINT_EVERY_BYTES: replaying 1,280 MiB takes twelve seconds at
# 370,000 events a second of 300 bytes each.
CHECKPOINT_STRETCH_MAX = 5

# Bytes of a checkpoint for each byte journaled since the last; a larger checkpoint is put off.
CHECKPOINT_SHARE_MAX = 0.75

# Deltas before the next base.
CHECKPOINT_DELTAS_MAX = 16

# Pause after a checkpoint that found the disk full.
CHECKPOINT_RETRY_S = 30

# Contacts packed into one part, a quarter of a millisecond out of the cache, and the size at which a part ends.
CHECKPOINT_PART_RECORDS_MAX = 256
CHECKPOINT_PART_BYTES = 512 * 1024

# Time that one part should take the loop, time for parts in a row, and the rest after them as a multiple of it.
CHECKPOINT_PART_S = 0.001
CHECKPOINT_GATHER_S = 0.001
CHECKPOINT_REST = 3.0

# Parts that are ready and are compressed at once.
CHECKPOINT_GATHERED_BYTES = 4 * 1024 * 1024

# Parts joined into one piece, which is compressed and has a checksum of its own.
CHECKPOINT_PIECE_BYTES = 512 * 1024

# Compressed pieces in one commit: a millisecond of copying.
CHECKPOINT_GROUP_BYTES = 512 * 1024

# Bytes of a checkpoint in memory at a time while it is restored.
RESTORE_MAPPED_BYTES_MAX = 64 * 1024**2

# Delivery

# Effects read from the outbox at once.
DELIVERY_PAGE_EFFECTS = 64

# Receipts journaled in one operation.
DELIVERY_RECEIPTS_MAX = 1_000

# Names that are resolved at once, each in a worker thread.
WEBHOOK_RESOLVERS_MAX = 8

# A connection is kept this long for the next message.
WEBHOOK_IDLE_S = 30.0

# Simulation

# Batches applied between two looks at the wall clock.
SIMULATED_BATCHES_MAX = 1_000

# Trace records gathered before they are given out, and effects gathered before they get their receipts.
SIMULATED_TRACE_MAX = 1_000
SIMULATED_EFFECTS_MAX = 10_000
