"""Data from which tasks draw batches during training: images, episodes, algorithms."""
