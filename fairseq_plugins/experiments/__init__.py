"""The demonstration and the published results, reproduced from start to end."""
