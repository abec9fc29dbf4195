"""fairseq plug-in: ``fairseq-train --user-dir fairseq_plugins``.

Importing the package registers all tasks, models and criterions and does nothing else. In our own
programs, registration waits until it is needed: they parse their arguments first, and ``--help``
would otherwise spend seconds importing torch and fairseq.
"""

from fairseq_plugins import host

if not host.is_ours(host.running()):
    from fairseq_plugins import registered  # noqa: F401
