"""Two recorded runs side by side: what the second one has otherwise, and whether anything got worse.

Each module compares one part of a record, by plain functions that give frozen values; :mod:`.compare` puts them
together.
"""
