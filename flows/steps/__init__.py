"""The tasks that flows are made of: each is one verb of ``tasks`` as Prefect runs, names, retries and shows it.

What they take are small frozen values: never a connection, a client or a secret. They know nothing of their order.
"""
