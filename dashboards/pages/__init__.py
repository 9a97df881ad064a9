"""The pages, each with its panels."""
