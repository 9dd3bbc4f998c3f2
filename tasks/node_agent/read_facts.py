"""A program: says what a node looks like, in one answer to everything that some stages speak of. Changes nothing.

That it is asked is the confirmation for changes that wait for one.
"""

import json
from typing import List

from tasks.node_agent.commands import answer, ask, prepare
from tasks.node_agent.confirmation import confirm
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, read_json
from tasks.node_agent.resources.kinds import KINDS
from tasks.node_agent.trial import try_out


def facts(stages: List[str], query: Json, trials: List[Json]) -> Json:
    """By kind of resource what its other half asks, and by stage and kind what earlier runs did.

    Raises:
        Failed: What is wanted would not work here.
    """
    try_out(trials)
    known = read_json("record.json")
    records = [Record(stage, known) for stage in stages]
    running = {}
    try:
        for kind in query:
            for words in KINDS[kind].questions(query[kind]):
                if tuple(words) not in running:
                    running[tuple(words)] = ask(words)
        said = {words: answer(process) for words, process in running.items()}
    finally:
        for process in running.values():
            if process and process.poll() is None:
                process.kill()
    there = {}
    for kind in query:
        answers = [said[tuple(words)] for words in KINDS[kind].questions(query[kind])]
        there[kind] = KINDS[kind].facts(query[kind], records, answers)
    added = {record.name: {kind: KINDS[kind].added(record) for kind in query} for record in records}
    return {"there": there, "added": added}


def main(stages: List[str], query: Json, trials: List[Json]) -> None:
    """Print the facts as JSON, or what was ``seen`` in their place and what is to be done (``todo``)."""
    prepare()
    try:
        rollback = confirm()
        print(json.dumps(dict(facts(stages, query, trials), rollback=rollback)))
    except Failed as error:
        print(json.dumps({"seen": error.seen, "todo": error.todo}))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
