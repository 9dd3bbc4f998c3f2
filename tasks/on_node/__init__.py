"""Programs that run on a node, each sent there as text and run by the node's own Python (3.6 or newer).

They use the standard library only and import nothing of this project. ``PAYLOAD`` is bound by the sender
(:meth:`tasks.ssh.Connection.run_python`); the answer is JSON on standard output.
"""
