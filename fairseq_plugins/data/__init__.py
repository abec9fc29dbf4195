"""Data that tasks draw batches from while training: images, episodes."""
