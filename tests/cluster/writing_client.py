"""Runs on a node: writes to the API every 100 ms, each time by a connection of its own, and tells what came of it."""

import base64
import json
import re
import ssl
import sys
import tempfile
import threading
import time
import urllib.request
from itertools import pairwise

PERIOD, TIMEOUT = 0.1, 1.0


def data(admin: str, key: str) -> bytes:
    found = re.search(key + r": (\S+)", admin)
    assert found
    return base64.b64decode(found.group(1))


def main(admin: str, seconds: float) -> None:
    context = ssl.create_default_context(cadata=data(admin, "certificate-authority-data").decode())
    with tempfile.NamedTemporaryFile() as pair:
        pair.write(data(admin, "client-certificate-data") + b"\n" + data(admin, "client-key-data"))
        pair.flush()
        context.load_cert_chain(pair.name)
    server = re.search(r"server: (\S+)", admin)
    assert server
    url = server.group(1) + "/api/v1/namespaces/default/configmaps"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    began = time.monotonic()
    done, failed, lock = {}, [], threading.Lock()

    def write(number: int) -> None:
        name, sent = f"written-{number}", time.monotonic() - began
        body = json.dumps({"metadata": {"name": name}}).encode()
        asked = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
        try:
            with opener.open(asked, timeout=TIMEOUT) as answer:
                answer.read()
            with lock:
                done[name] = time.monotonic() - began
        except OSError:
            with lock:
                failed.append(sent)

    threads: list[threading.Thread] = []
    while time.monotonic() - began < seconds:
        threads.append(threading.Thread(target=write, args=(len(threads),)))
        threads[-1].start()
        time.sleep(max(0.0, len(threads) * PERIOD - (time.monotonic() - began)))
    for thread in threads:
        thread.join()
    times = sorted(done.values())
    gaps = [after - before for before, after in pairwise(times)]
    told = {
        "sent": len(threads),
        "failed": len(failed),
        "first": min(failed or [0.0]),
        "last": max(failed or [0.0]),
        "gap": max(gaps or [seconds]),
        "acknowledged": sorted(done),
    }
    json.dump(told, sys.stdout)


if "PAYLOAD" in globals():
    main(**PAYLOAD)  # type: ignore[name-defined]  # noqa: F821
