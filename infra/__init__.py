"""How it runs: the `bourse` command, launchers of broker and ClickHouse, supervision, demo load."""
