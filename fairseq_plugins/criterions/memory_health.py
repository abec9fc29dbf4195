"""Log values about a memory in training, for all losses that train one."""

from typing import Any

from fairseq.logging import metrics

MEANS = {  # name in the log -> sum over queries
    "memory_loss": "memory_loss",
    "memory_hit_rate": "memory_right",
    "memory_confidence": "memory_confidence",
    "memory_gate": "memory_gate",
}


def total(logs: list[dict], name: str) -> float:
    """Sum a value over all workers and batches."""
    return sum(float(log.get(name, 0)) for log in logs)


def log_memory_health(logs: list[dict[str, Any]]) -> None:
    """Log how often the best neighbour was correct, its weight, and the fill and age of slots."""
    queries = total(logs, "memory_queries")
    if not queries:
        return
    for name, key in MEANS.items():
        if any(key in log for log in logs):
            metrics.log_scalar(name, total(logs, key) / queries, queries, round=3)
    commits = total(logs, "memory_commits")
    if commits:
        writes = total(logs, "memory_written")
        metrics.log_scalar("memory_fill", total(logs, "memory_fill") / commits, commits, round=3)
        metrics.log_scalar("memory_age", total(logs, "memory_age") / commits, commits, round=1)
        if writes:
            evicted = total(logs, "memory_evicted") / writes
            metrics.log_scalar("memory_evicted", evicted, writes, round=3)
