"""Commands of `tidemill`, a module for each noun.

`api.cli.main.COMMANDS` names the module of each command; it loads a module when its command is called. So a module may
import what it needs, and a command starts fast. Begin with `files.py` or `flows.py`.
"""
