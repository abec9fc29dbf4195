"""Measures of translations, drawings and algorithms."""
