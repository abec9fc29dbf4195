"""Life-long memory for fairseq."""
