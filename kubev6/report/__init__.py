"""The report of a run: its record drawn as one page that needs nothing else, neither network nor scripts.

What goes where is worked out here by plain functions (positions, words, tables); how it looks is in the templates and
the style sheet beside them.
"""
