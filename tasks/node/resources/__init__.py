"""What a node holds: one module for each kind of it.

Each module says of its kind what is asked of a node, what the answer means, what is to be done (pure), and how it reads
to a person. Its other half, which asks and does it on the node, has the same name in
:mod:`tasks.node_agent.resources`. All of them stand in the list of :mod:`tasks.node.resources.kinds`.
"""
