"""Runs on a node: asks the questions of the proof, from the node itself and from the pods on the cluster.

Sent as text to the node's own Python, so it needs nothing but the standard library. ``PAYLOAD`` is bound by the sender.
An answer is ``[status, output, seconds]``. A question that fails is asked again until its deadline: a Service that was
made a moment ago is not on every node yet.
"""

import json
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request

CA = "/etc/kubernetes/pki/ca.crt"
TIMEOUT = 5


def fetch(url):
    context = ssl.create_default_context(cafile=CA) if url.startswith("https:") else None
    # A proxy set for the machine would answer for the cluster.
    handlers = [urllib.request.ProxyHandler({})]
    if context:
        handlers.append(urllib.request.HTTPSHandler(context=context))
    with urllib.request.build_opener(*handlers).open(url, timeout=TIMEOUT) as answer:
        return answer.read(65536).decode("utf-8", "replace")


def resolve(name):
    found = socket.getaddrinfo(name, None, socket.AF_INET6, socket.SOCK_STREAM)
    return "\n".join(sorted({entry[4][0] for entry in found}))


def ask(kind, argument, deadline):
    started = time.monotonic()
    while True:
        try:
            return [0, {"fetch": fetch, "resolve": resolve}[kind](argument), time.monotonic() - started]
        except (OSError, ValueError) as error:
            if time.monotonic() > deadline:
                return [1, str(error), time.monotonic() - started]
        time.sleep(0.3)


POD_SCRIPT = """
start=$(date +%s)
ask() {
    id=$1; shift
    while :; do
        out=$("$@" 2>&1); status=$?
        [ $status -eq 0 ] && break
        [ $(($(date +%s) - start)) -ge PATIENCE ] && break
        sleep 1
    done
    printf '%s\\n' "$out" | sed 's/^/ /'
    echo "@ $id $status"
}
addresses() { nslookup -type=aaaa "$1" >/tmp/answer 2>&1 || { cat /tmp/answer; return 1; }
    sed -n '/^Name:/,$s/^Address[^:]*: *//p' /tmp/answer; }
"""


def pod_script(questions, patience):
    lines = [POD_SCRIPT.replace("PATIENCE", str(patience))]
    for identifier, kind, argument in questions:
        if kind == "fetch":
            lines.append("ask %s wget -q -T %d --no-check-certificate -O - '%s'" % (identifier, TIMEOUT, argument))
        else:
            lines.append("ask %s addresses '%s'" % (identifier, argument))
    return "\n".join(lines) + "\n"


def ask_from_pod(pod, questions, kubectl, patience, answers):
    """Every question of one pod in one exec; an answer's time is that between two marks in the output."""
    command = kubectl + ["exec", "-i", pod, "--", "sh", "-s"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True
    )
    killer = threading.Timer(patience + 60, process.kill)
    killer.start()
    process.stdin.write(pod_script(questions, patience))
    process.stdin.close()
    output, since = [], time.monotonic()
    for line in process.stdout:
        if line.startswith("@ "):
            _, identifier, status = line.split()
            answers[identifier] = [int(status), "\n".join(output), time.monotonic() - since]
            output, since = [], time.monotonic()
        else:
            output.append(line.strip())
    process.wait()
    killer.cancel()
    for identifier, _, _ in questions:
        said = " ".join(output) or "no answer"
        answers.setdefault(identifier, [1, "kubectl exec: " + said, time.monotonic() - since])


def main(node, pods, kubectl, patience):
    answers = {}
    threads = [
        threading.Thread(target=ask_from_pod, args=(pod, questions, kubectl, patience, answers))
        for pod, questions in pods.items()
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for identifier, kind, argument in node:
        answers[identifier] = ask(kind, argument, deadline)
    for thread in threads:
        thread.join()
    json.dump(answers, sys.stdout)


main(**PAYLOAD)
