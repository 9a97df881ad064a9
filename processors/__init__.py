"""What is decided: pure rules over integers; time arrives as ticks in the log (DESIGN.md, law 2)."""
