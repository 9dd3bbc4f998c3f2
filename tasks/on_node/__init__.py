"""Programs that run on a node, and what they are made of; run by the node's own Python, 3.5 or newer (Ubuntu
16.04; CentOS 7 has 3.6).

They use the standard library and one another, as ``from tasks.on_node.files import text_of``, and nothing else of this
project: :mod:`tasks.ssh.program` puts together what is sent. A program ends in ``if "PAYLOAD" in globals()``, which the
sender binds (:meth:`tasks.ssh.connection.Connection.run_python`); its answer is JSON on standard output.
"""
