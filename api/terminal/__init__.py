"""Output for people in a terminal: colours, tables, progress, prompts.

Imports the configuration and the engine's model, no client and no command. Begin with `terminal.py`.
"""
