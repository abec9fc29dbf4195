"""The demo and the published results, reproduced from start to end."""
