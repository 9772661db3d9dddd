"""The commands of `tidemill`, a module per noun; `api.cli.main.COMMANDS` says which module holds which command."""
