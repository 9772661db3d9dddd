"""Data directory: journal, checkpoints, recovery, verification, compaction and backup, on LMDB.

Imports `engine.kernel`, to restore and replay it, and what every floor shares.
Begin with `journal.py` and `frame.py` (a batch on the disk), then `checkpoint.py` and `recover.py`. `environment.py` is
LMDB with its files, `page_check.py` looks at pages before LMDB trusts them.
"""
