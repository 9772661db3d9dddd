"""The commands of `tidemill`, a module per noun; `api.cli.COMMANDS` says which module holds which command."""
