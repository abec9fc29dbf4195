"""The invented language."""
