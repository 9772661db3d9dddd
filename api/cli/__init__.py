"""Command line `tidemill`: commands, and flows in files.

Imports every other room of `api`, and no room imports it. Commands ask a running engine over HTTP (`api.client`), or
work on files.
Begin with `main.py`, which lists the commands; `commands/` holds them, a module for each noun.
"""
