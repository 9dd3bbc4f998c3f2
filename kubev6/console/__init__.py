"""What a person, or a machine, sees of a run: its steps as they happen, on standard error.

A terminal shows a live line for everything that is worked on; a file or a pipe gets plain lines, and a word from
every long step now and then. Either way a step that has ended is one line with what came of it and its time. For
machines each event is a line of JSON instead.
"""
