"""What the agent does with each kind of resource: one module a kind, each the other half of one in
:mod:`tasks.node.resources`, and all of them in the list of :mod:`tasks.node_agent.resources.kinds`.
"""
