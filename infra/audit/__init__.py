"""What `bourse audit` reads of ClickHouse and of the engine. What is judged: processors/auditor.py, and the files in `checks/`."""
