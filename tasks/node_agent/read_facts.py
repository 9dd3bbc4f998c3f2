"""A program: says what a node looks like, in one answer to everything that some stages speak of. Changes nothing."""

import json

from tasks.node_agent.commands import answer, ask, prepare
from tasks.node_agent.protocol import Failed, Json
from tasks.node_agent.record import Record, read_json
from tasks.node_agent.resources.kinds import KINDS


def facts(stages: Json) -> Json:
    """By stage and kind of resource: what each kind's other half asked."""
    record = read_json("record.json")
    asked = [(stage, kind, query) for stage, queries in stages.items() for kind, query in queries.items()]
    running = {}
    for _, kind, query in asked:
        for words in KINDS[kind].questions(query):
            if tuple(words) not in running:
                running[tuple(words)] = ask(words)
    said = {words: answer(process) for words, process in running.items()}
    found: Json = {stage: {} for stage in stages}
    for stage, kind, query in asked:
        answers = [said[tuple(words)] for words in KINDS[kind].questions(query)]
        found[stage][kind] = KINDS[kind].facts(query, Record(stage, record), answers)
    return found


def main(stages: Json) -> None:
    prepare()
    try:
        print(json.dumps({"stages": facts(stages)}))
    except Failed as error:
        print(json.dumps({"seen": error.seen, "todo": error.todo}))


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]
