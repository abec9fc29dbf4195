"""What the programs in ``scripts/`` do, callable from Python."""
