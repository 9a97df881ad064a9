"""How it is seen: the dashboard app, one SQL file for each panel, and the Grafana definitions made of the same files."""
