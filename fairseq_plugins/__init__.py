"""fairseq plug-in: ``fairseq-train --user-dir fairseq_plugins``.

Importing it registers all tasks, models and criterions, and does nothing else. Only in our own
programs this waits until it is needed: they parse their arguments first, and ``--help`` would
otherwise import torch and fairseq for seconds.
"""

from fairseq_plugins import host

if not host.is_ours(host.running()):
    from fairseq_plugins import registered  # noqa: F401
