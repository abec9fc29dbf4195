"""Teaching a trained model: filling its memory, and fitting how far it is trusted."""
