"""How it is seen: the dashboard app and one SQL file per panel."""
