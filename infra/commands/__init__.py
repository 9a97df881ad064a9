"""One file for each command of `bourse`; `infra/cli.py` names them."""
