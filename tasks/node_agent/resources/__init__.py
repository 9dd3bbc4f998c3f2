"""What the agent does with each kind of resource, one module a kind.

Each is the other half of one in :mod:`tasks.node.resources`; all of them are in the list of
:mod:`tasks.node_agent.resources.kinds`.
"""
