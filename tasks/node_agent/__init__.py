"""What runs on a node, by its own Python, 3.5 or newer (Ubuntu 16.04; CentOS 7 has 3.6).

These are some programs, and the other half of each kind of resource (:mod:`tasks.node_agent.resources`).

They use the standard library and one another, as ``from tasks.node_agent.files import text_of``, and nothing else of
this project: :mod:`tasks.ssh.program` puts together what is sent. A program ends in ``if "PAYLOAD" in globals()``,
which the sender binds (:meth:`tasks.ssh.connection.Connection.run_python`); its answer is JSON on standard output.
"""
